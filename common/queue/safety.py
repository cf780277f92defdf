"""Tell whether Redis keeps its messages: across a restart, and when memory runs short.

No import rests on it, since the sweeper asks again for whatever is open. But a queue that forgets makes
every restart a sweep over all open imports, and one that evicts makes each of them late.
"""

from __future__ import annotations

from typing import Any

import redis

from common.telemetry.checks import Check


def look(client: redis.Redis) -> list[Check] | None:
    """Look at a Redis. None while it is away."""
    try:
        # INFO, not CONFIG: hosted servers answer the one and refuse the other.
        info: Any = client.info()
    except (redis.ConnectionError, redis.TimeoutError):
        return None
    except redis.RedisError as error:
        advice = "Check the rights of the user in REDIS_URL."
        return [Check("Redis", "bad", f"it refused to be looked at ({type(error).__name__}).", advice)]
    return [append_only(info), eviction(info)]


def append_only(info: dict[str, Any]) -> Check:
    """Judge by INFO whether messages outlive a restart."""
    if not int(info.get("aof_enabled", 0)):
        advice = "Set `appendonly yes`: a restart forgets the queue, and the sweeper has to ask for everything again."
        return Check("append-only file", "warning", "off.", advice)
    if info.get("aof_last_write_status", "ok") != "ok":
        return Check("append-only file", "bad", "its last write failed.", "Make room on Redis's disk.")
    return Check("append-only file", "ok", "on.")


def eviction(info: dict[str, Any]) -> Check:
    """Judge by INFO whether messages are thrown away when memory runs short."""
    policy = info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        advice = "Set `maxmemory-policy noeviction`: any other may throw messages away."
        return Check("eviction", "warning", f"the policy is {policy}.", advice)
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if most and used > 0.9 * most:
        return Check("eviction", "warning", "never, but memory is nearly full.", "Raise Redis's `maxmemory`.")
    return Check("eviction", "ok", "never (noeviction).")

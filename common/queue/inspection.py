"""Read what the queues' messages name, without disturbing dramatiq, and take one out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import redis

from common.queue.jobs import JOBS, NAMESPACE, QUEUES

PAGE = 500
# A message that a worker has fetched is its worker's to acknowledge; only one that still waits is taken out.
_TAKE_OUT = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
return redis.call('HDEL', KEYS[2], ARGV[1])
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message of a queue; at most one of the ids is there. `known` says whether it is a message of ours at all."""

    queue: str
    redis_message_id: str
    import_id: str | None
    group_id: str | None
    known: bool


def messages(client: redis.Redis) -> Iterator[list[Waiting]]:
    """Yield what waits or is in flight on every queue, a page at a time. Raises RedisError."""
    for queue in QUEUES:
        cursor = 0
        while True:
            found: Any = client.hscan(f"{NAMESPACE}:{queue}.msgs", cursor, count=PAGE)
            cursor, page = found
            if page:
                yield [_read(queue, name.decode(), raw) for name, raw in page.items()]
            if cursor == 0:
                break


def take_out(client: redis.Redis, message: Waiting) -> bool:
    """Remove a message that still waits. False: a worker has it, or had it. Raises RedisError."""
    key = f"{NAMESPACE}:{message.queue}"
    taken: Any = client.eval(_TAKE_OUT, 2, key, f"{key}.msgs", message.redis_message_id)
    return bool(taken)


def _read(queue: str, redis_message_id: str, raw: bytes) -> Waiting:
    try:
        named = json.loads(raw)["kwargs"]
    except (ValueError, TypeError, KeyError):
        named = None
    ids = (
        {name: one for name, one in named.items() if isinstance(one, str)} if isinstance(named, dict) else {}
    )
    known = any(fields(job)[0].name in ids for job in JOBS)
    return Waiting(queue, redis_message_id, ids.get("import_id"), ids.get("group_id"), known)

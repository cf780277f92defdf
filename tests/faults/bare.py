"""Bare dramatiq, as its own documentation sets it up: what our pipeline is held beside.

Imported by tests, and by dramatiq's command in processes of their own (`BARE_REDIS_URL` names their Redis).
Recovery is as quick as dramatiq can be made, so that a hole that is left is none of slowness.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import default_middleware

QUEUE = "bare"
HEARTBEAT_MS = 500
actor: Any = dramatiq.actor  # its overloads do not know options that come as a table
RETRIES: dict[str, Any] = {"max_retries": 3, "min_backoff": 50, "max_backoff": 200}


def broker(url: str, *, chance: int = 1_000_000, heartbeat_ms: int = HEARTBEAT_MS) -> Any:
    """Return dramatiq's Redis broker with dramatiq's default middleware."""
    made: Any = RedisBroker(
        url=url,
        middleware=[one() for one in default_middleware],
        maintenance_chance=chance,
        heartbeat_timeout=heartbeat_ms,
    )
    made.declare_queue(QUEUE)
    return made


def poison() -> None:
    """Count a delivery and take the whole process down, as a picture can that makes a C library fail."""
    bare = dramatiq.get_broker()
    bare.client.incr("deliveries")  # type: ignore[attr-defined]
    os.kill(os.getpid(), signal.SIGKILL)


def start() -> None:
    """Set up a worker process: dramatiq's command calls it."""
    made = broker(os.environ["BARE_REDIS_URL"])
    actor(poison, broker=made, queue_name=QUEUE, **RETRIES)
    dramatiq.set_broker(made)

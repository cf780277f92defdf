"""Let a caller of the door be cancelled while it waits for MongoDB, without harm to all the others.

On Python 3.11 `asyncio.wait_for` runs what it waits for in a task of its own. PyMongo waits so for a server,
with its topology's lock: a caller that is cancelled while that task takes the lock back gives back a lock
which somebody else holds. Their requests end with RuntimeError, and the lock may then stay locked for ever,
so that the process answers 503 until it is restarted. The door does cancel: its time for stores is bounded.

The wait below is what Python 3.12 makes of it: no task beside the caller's. It can go with Python 3.11.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Protocol

from pymongo.asynchronous import pool, topology

DRIVERS_WAIT = "_async_cond_wait"


class Condition(Protocol):
    """What is waited for, with its lock held."""

    async def wait(self) -> bool: ...


def make_waits_cancel_safe() -> None:
    """Put the wait in place where this Python needs it and this PyMongo still waits in that way."""
    if sys.version_info >= (3, 12):
        return
    for module in (topology, pool):
        if hasattr(module, DRIVERS_WAIT):
            setattr(module, DRIVERS_WAIT, _wait)


async def _wait(condition: Condition, timeout: float | None) -> bool:  # noqa: ASYNC109 - the driver's signature
    """Wait to be notified, for so many seconds; False where nobody did. The lock is held again afterwards."""
    try:
        async with asyncio.timeout(timeout):
            return await condition.wait()
    except TimeoutError:
        return False

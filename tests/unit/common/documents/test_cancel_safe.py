"""A caller that is cancelled while it waits for MongoDB takes nothing away from the others."""

from __future__ import annotations

import asyncio
import sys

import pytest
from pymongo.asynchronous import pool, topology
from pymongo.lock import _async_create_condition, _async_create_lock

from common.documents.cancel_safe import DRIVERS_WAIT
from common.documents.database import connect_door


async def cancelled_wait() -> None:
    """Cancel a waiter at the moment when it has to take its lock back from somebody else."""
    await connect_door("mongodb://127.0.0.1:1/imports").close()
    lock = _async_create_lock()
    condition = _async_create_condition(lock)
    drivers_wait = getattr(topology, DRIVERS_WAIT)

    async def wait() -> None:
        async with condition:
            await drivers_wait(condition, 0.05)

    waiter = asyncio.ensure_future(wait())
    await asyncio.sleep(0.01)
    async with lock:
        await asyncio.sleep(0.1)  # its time is up, and the lock is ours
        waiter.cancel()
        await asyncio.sleep(0.05)
        assert lock.locked(), "our lock was given back by whoever was cancelled"
        assert not waiter.done(), "it went without the lock that it will be given"
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert not lock.locked()


def test_a_cancelled_wait_gives_back_no_lock_of_others() -> None:
    """The lock stays with its holder, and is free once everybody has gone."""
    asyncio.run(cancelled_wait())


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="asyncio's own wait is safe from 3.12 on")
def test_the_driver_still_waits_where_we_think() -> None:
    """A PyMongo that waits elsewhere is noticed here, and not in an outage."""
    assert all(hasattr(module, DRIVERS_WAIT) for module in (topology, pool))

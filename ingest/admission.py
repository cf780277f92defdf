"""Bound what one organization has in flight at the door, so that its requests starve nobody else's.

- Of all its requests there may be so many at once; one more is answered 429. A client that keeps a pool of
  connections never meets it.
- Of its large bodies a few at once are read and worked on; the others wait for their turn before they are
  read, so that they cost nothing meanwhile, not even memory.
- One large body of all organizations is taken apart at a time: each takes a thread the interpreter for
  milliseconds, and every further one would make small requests wait as much longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TypeVar

from ingest.errors import TooManyRequestsError

LARGE_BODY = 16 * 1024  # bytes, with the query: what takes longer to read than other requests should wait
RETRY_AFTER = 1.0

Result = TypeVar("Result")
_AT_ONCE: AbstractAsyncContextManager[None] = nullcontext()


class Admission:
    """Counts requests by organization: `requests` at once, `large` of them with large bodies.

    `seconds` is how long a large one waits for its turn before it is answered 429.
    """

    def __init__(self, *, requests: int, large: int, seconds: float) -> None:
        self._requests, self._large, self._seconds = requests, large, seconds
        self._in_flight: dict[str, int] = {}
        self._large_ones: dict[str, tuple[asyncio.Semaphore, int]] = {}
        self._at_work = asyncio.Semaphore(1)

    def enter(self, organization_id: str) -> None:
        """Count a request. Raises TooManyRequestsError, and then it is not counted."""
        there = self._in_flight.get(organization_id, 0)
        if there >= self._requests:
            raise TooManyRequestsError(RETRY_AFTER)
        self._in_flight[organization_id] = there + 1

    def leave(self, organization_id: str) -> None:
        """Count a request no longer."""
        self._in_flight[organization_id] -= 1
        if not self._in_flight[organization_id]:
            del self._in_flight[organization_id]

    def turn(self, organization_id: str, size: int) -> AbstractAsyncContextManager[None]:
        """Read and answer a body of so many bytes in here. Raises TooManyRequestsError where no turn came."""
        return _AT_ONCE if size <= LARGE_BODY else self._turn(organization_id)

    @asynccontextmanager
    async def _turn(self, organization_id: str) -> AsyncIterator[None]:
        turns, users = self._large_ones.get(organization_id) or (asyncio.Semaphore(self._large), 0)
        self._large_ones[organization_id] = (turns, users + 1)
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    await turns.acquire()
            except TimeoutError:
                raise TooManyRequestsError(RETRY_AFTER) from None
            try:
                yield
            finally:
                turns.release()
        finally:
            turns, users = self._large_ones.pop(organization_id)
            if users > 1:
                self._large_ones[organization_id] = (turns, users - 1)

    async def work(self, size: int, work: Callable[[], Result]) -> Result:
        """Return what `work` on a body of so many bytes returns; of a large one beside the loop, one at a time."""
        if size <= LARGE_BODY:
            return work()
        async with self._at_work:
            return await asyncio.to_thread(work)

"""Bound the time that one request may wait for stores, however many of them it asks.

Each call has a time limit of its own, but a request makes several, and a caller is promised a 503 within two
seconds of MongoDB's going away, whichever of them meets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingest.errors import UnavailableError

STORE_SECONDS = 1.7
RETRY_AFTER = 2.0


class Budget:
    """What is left of one request's time for stores."""

    def __init__(self, seconds: float = STORE_SECONDS) -> None:
        self._left = seconds

    @asynccontextmanager
    async def spend(self) -> AsyncIterator[None]:
        """Ask stores in here. Raises UnavailableError when the time is used up."""
        now = asyncio.get_running_loop().time
        begun = now()
        try:
            async with asyncio.timeout(self._left):
                yield
        except TimeoutError:
            raise UnavailableError(RETRY_AFTER) from None
        finally:
            self._left = max(0.0, self._left - (now() - begun))

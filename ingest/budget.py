"""Bound the time that one request may wait for stores, however many of them it asks.

Each call has a time limit of its own, but a request makes several, and a caller is promised a 503 within two
seconds of MongoDB's going away, whichever of them meets it.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from ingest.errors import UnavailableError

STORE_SECONDS = 1.7
RETRY_AFTER = 2.0


class Budget:
    """What is left of one request's time for stores."""

    def __init__(self) -> None:
        self._left = STORE_SECONDS

    def spend(self) -> Spending:
        """Ask stores within this. Raises UnavailableError when the time is used up."""
        return Spending(self)

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._left

    def spent(self, seconds: float) -> None:
        """Take seconds off what is left."""
        self._left = max(0.0, self._left - seconds)


class Spending:
    """One stretch of time that a budget pays for. A class, since a generator costs each request some 3 % more."""

    __slots__ = ("_begun", "_budget", "_timeout")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    async def __aenter__(self) -> None:
        self._begun = asyncio.get_running_loop().time()
        self._timeout = asyncio.timeout(self._budget.left())
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise UnavailableError(RETRY_AFTER) from None
        finally:
            self._budget.spent(asyncio.get_running_loop().time() - self._begun)
        if isinstance(error, TimeoutError):
            raise UnavailableError(RETRY_AFTER) from None

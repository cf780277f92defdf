"""Dispatch what was accepted without keeping a caller waiting, whatever Redis does.

A POST leaves its import here and answers. One call to Redis at a time takes along all that came meanwhile. Nothing
that is dropped here is lost: each document says when it is to be looked at, and the sweeper looks.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from contextvars import Context
from datetime import datetime
from typing import Any, Protocol

import structlog

from common.crashpoints import reached

CAPACITY = 10_000
MOST_AT_ONCE = 500
PAUSE_SECONDS = 5.0  # after a failure nobody tries Redis for so long: each try would cost its whole timeout

log = structlog.get_logger(__name__)


# A document that a worker is to look at: its organization, its id, and when it was accepted.
Work = tuple[str, str, datetime]


class Dispatcher(Protocol):
    """Dispatches documents of a stage, in one call."""

    async def enqueue(self, stage: str, work: Iterable[Work], /) -> None: ...


class BackgroundDispatcher:
    """Takes work on the loop, and dispatches it there in its order."""

    def __init__(
        self, dispatcher: Dispatcher, *, capacity: int = CAPACITY, pause: float = PAUSE_SECONDS
    ) -> None:
        self._dispatcher, self._capacity, self._pause = dispatcher, capacity, pause
        self._waiting: deque[tuple[str, Work]] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._open_until = 0.0  # the circuit breaker lets nothing through before this moment (monotonic)
        self._failing = False

    def enqueue(self, stage: str, document: Mapping[str, Any]) -> None:
        """Have a document looked at by a worker of a stage. Never waits, never fails."""
        if len(self._waiting) >= self._capacity or time.monotonic() < self._open_until:
            return  # the sweeper is sooner
        self._waiting.append((stage, (document["organization_id"], document["_id"], document["created_at"])))
        if self._flushing is None:
            # In a context of its own: what it logs is not about the request that happened to be first.
            self._flushing = asyncio.create_task(self._flush(), context=Context())

    async def stop(self, *, seconds: float = 1.0) -> None:
        """Dispatch what is in hand, for at most so long."""
        if self._flushing is not None:
            await asyncio.wait([self._flushing], timeout=seconds)
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        try:
            while self._waiting:
                work: defaultdict[str, list[Work]] = defaultdict(list)
                for _ in range(min(MOST_AT_ONCE, len(self._waiting))):
                    stage, one = self._waiting.popleft()
                    work[stage].append(one)
                await self._try(work)
        finally:
            self._flushing = None

    async def _try(self, work: Mapping[str, list[Work]]) -> None:
        try:
            for stage, documents in work.items():
                await self._dispatcher.enqueue(stage, documents)
                reached(f"dispatch.sent_{stage}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end dispatching for good
            self._open_until = time.monotonic() + self._pause
            self._waiting.clear()
            if not self._failing:
                log.warning("queue away; the sweeper dispatches instead", error=type(error).__name__)
            self._failing = True
        else:
            if self._failing:
                log.info("queue back")
            self._failing = False

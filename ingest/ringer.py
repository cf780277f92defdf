"""Ring for the workers without keeping a caller waiting, whatever Redis does.

A POST puts its import on a bounded queue in memory and answers; one thread does the ringing. Nothing that is
dropped here is lost: each import's document says when it is to be looked at, and the sweeper looks.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import structlog

CAPACITY = 10_000
PAUSE_SECONDS = 5.0  # after a failure nobody tries Redis for so long: each try would cost its whole timeout

log = structlog.get_logger(__name__)


class Bells(Protocol):
    """What asks that imports (id, time of acceptance) of an organization be looked at."""

    def ask(self, queue: str, organization_id: str, imports: list[tuple[str, datetime]], /) -> None: ...


class Ringer:
    """Takes imports from any thread and rings for them in its own, in their order."""

    def __init__(self, bells: Bells, *, capacity: int = CAPACITY, pause: float = PAUSE_SECONDS) -> None:
        self._bells, self._pause = bells, pause
        self._waiting: queue.Queue[tuple[str, str, str, datetime] | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._drain, name="ringer", daemon=True)
        self._closed_until = 0.0  # the breaker is open before this moment (monotonic)

    def start(self) -> None:
        """Begin to ring."""
        self._thread.start()

    def ring(self, name: str, document: Mapping[str, Any]) -> None:
        """Ask that an import be looked at in the queue of that name. Never waits, never fails."""
        try:
            self._waiting.put_nowait(
                (name, document["organization_id"], document["_id"], document["created_at"])
            )
        except queue.Full:
            return  # so far behind that the sweeper is sooner

    def stop(self, *, seconds: float = 1.0) -> None:
        """Ring for what is in hand, for at most so long."""
        try:
            self._waiting.put(None, timeout=seconds / 2)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _drain(self) -> None:
        failing = False
        while (asked := self._waiting.get()) is not None:
            if time.monotonic() < self._closed_until:
                continue
            name, organization_id, import_id, accepted_at = asked
            try:
                self._bells.ask(name, organization_id, [(import_id, accepted_at)])
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not silence the bell for good
                self._closed_until = time.monotonic() + self._pause
                if not failing:
                    log.warning("bell cannot ring; the sweeper asks instead", error=type(error).__name__)
                failing = True
            else:
                if failing:
                    log.info("bell rings again")
                failing = False

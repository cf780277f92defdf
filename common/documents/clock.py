"""Tell the store's time: leases and due times of many machines are judged by one clock.

A process whose own clock is days off would take every lease for expired, or hold its own for ever. So
each process measures how far it is from MongoDB's clock at start and every minute (`hello.localTime`), and
counts on from there with the monotonic clock, which no administrator sets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

MEASURE_SECONDS = 60.0
LOOKS = 3


@dataclass(frozen=True, slots=True)
class Look:
    """One answer of the store: when it was asked for and when it came (monotonic seconds), and what it told."""

    sent: float
    received: float
    told: datetime


class StoreClock:
    """Return the store's time when called; until first measured, the process's own."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._base, self._at = datetime.now(UTC), monotonic()
        self._measured_at: float | None = None

    def __call__(self) -> datetime:
        """Return the store's time now, in UTC, cut to the milliseconds that MongoDB keeps."""
        with self._lock:
            now = self._base + timedelta(seconds=self._monotonic() - self._at)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def is_due(self) -> bool:
        """Tell whether it is time to measure (again)."""
        return self._measured_at is None or self._monotonic() - self._measured_at >= MEASURE_SECONDS

    def measure(self, hello: Callable[[], Mapping[str, Any]]) -> None:
        """Ask the store with a blocking `hello`. Raises what the driver raises when it is away."""
        self.learn([self.look(hello(), sent=sent) for sent in self.moments()])

    def moments(self) -> Iterator[float]:
        """Yield the moments (monotonic seconds) at which to ask, one after the other was answered."""
        for _ in range(LOOKS):
            yield self._monotonic()

    def look(self, answer: Mapping[str, Any], *, sent: float) -> Look:
        """Take the time out of an answer to `hello` that was asked for at `sent` (monotonic seconds)."""
        told: datetime = answer["localTime"]
        told = told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
        return Look(sent, self._monotonic(), told)

    def learn(self, looks: Iterable[Look]) -> None:
        """Go by the look that was answered the soonest: its answer can be off by half its way at the most.

        Processes that are milliseconds apart would tell of a stage that began before its import was accepted.
        """
        best = min(looks, key=lambda look: look.received - look.sent)
        with self._lock:
            # The answer was written about half-way through the round trip, and cut to a whole millisecond.
            self._base = best.told + timedelta(microseconds=500)
            self._at = (best.sent + best.received) / 2
            self._measured_at = best.received

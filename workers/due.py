"""Find the documents that are due without ever asking for everything that is due, nor for its minimum.

Both are slow where many imports are open. Windows are walked instead, from the far past toward now, each
half as far from now as the one before: a few cheap probes reach everything, and nothing has to be
remembered, so an import written late by a process that was paused is found like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from common.documents.claims import Claims
from common.documents.database import Document
from common.documents.imports import Imports

FAR = timedelta(days=3650)
NEAR = timedelta(seconds=1)
AHEAD = timedelta(minutes=20)  # beyond the longest step that `due_at` is ever pushed by


def windows(now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Walk two-sided windows that end at `now`, widest and oldest first."""
    distance = FAR
    while distance > NEAR:
        yield now - distance, now - distance / 2
        distance /= 2
    yield now - distance, now


def due(ledger: Claims, *, now: datetime, limit: int) -> list[Document]:
    """Return at most so many open documents whose `due_at` has come, oldest first."""
    found: list[Document] = []
    for low, high in windows(now):
        found += ledger.due_between(low, high, limit=limit - len(found))
        if len(found) >= limit:
            break
    return found


def forget_keys(imports: Imports, *, now: datetime, limit: int) -> int:
    """Forget at most so many idempotency keys whose time is over, oldest first. Returns how many."""
    forgotten = 0
    for low, high in windows(now):
        forgotten += imports.forget_keys(low, high, limit=limit - forgotten)
        if forgotten >= limit:
            break
    return forgotten


class OpenWalk:
    """Walk over all open documents of a kind that are not due yet, a bounded piece at a time.

    Needed once after Redis was emptied: every bell and every room is gone, and `due_at` may be minutes away.
    """

    def __init__(self, ledger: Claims, *, now: datetime) -> None:
        self._ledger, self._cursor, self._end = ledger, now, now + AHEAD

    def piece(self, *, limit: int) -> list[Document]:
        """Return the next ones; fewer than `limit` means that the walk is over."""
        found: list[Document] = []
        width = timedelta(seconds=5)
        while self._cursor < self._end and len(found) < limit:
            high = min(self._cursor + width, self._end)
            part = self._ledger.due_between(self._cursor, high, limit=limit - len(found))
            found += part
            if part and len(found) >= limit:
                # The next piece begins a millisecond on: more than `limit` with one due time cannot be,
                # since due times are spread.
                self._cursor = part[-1]["due_at"] + timedelta(milliseconds=1)
                break
            self._cursor = high
        return found

"""Tell how old the oldest open import of a stage is, without ever asking for a minimum.

A minimum (a sort, or a range over all that is open) costs what it matches: over a second at thirty thousand
on the embedded server. So windows with two sides are probed: from the far horizon, each half as wide as the
one before, until something is found, then by bisection. What was found is remembered as a mark before which
nothing was open; the next call looks around the mark and usually ends after two probes.

A mark is never trusted alone: `imports retry` opens imports again under the time of their first acceptance,
which may lie long before it. The first probe of each call looks there.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database

from common.documents.claims import Stage
from common.documents.database import Document
from common.documents.imports import Imports
from common.documents.overview import HORIZON

CLOSE_ENOUGH = timedelta(seconds=1)
AHEAD = timedelta(days=1)  # a door whose clock is ahead accepts imports in our future

Window = tuple[datetime, datetime]  # from (included) to (not included)
# Yields windows to probe, is sent when some import within was accepted (None: there is none), and returns
# that of about the oldest with the new mark.
Search = Generator[Window, datetime | None, tuple[datetime | None, datetime]]


class Oldest:
    """The workers' and the operators' side. Raises ConnectionFailure where MongoDB is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._imports = Imports(db)
        self._marks: dict[str, datetime] = {}

    def age(self, stage: Stage, *, now: datetime) -> float | None:
        """Return the seconds since the oldest import in or before a stage was accepted, or None for no such.

        The answer is at most one second short.
        """
        search = _search(self._marks.get(stage.name), now)
        low, high = next(search)
        while True:
            found = self._imports.any_open(stage, low, high)
            try:
                low, high = search.send(found)
            except StopIteration as end:
                oldest, self._marks[stage.name] = end.value
                return _age(oldest, now)


class OldestAtDoor:
    """The door's side. Raises ConnectionFailure where MongoDB is away."""

    def __init__(self, db: AsyncDatabase[Document]) -> None:
        self._imports = db.imports
        self._marks: dict[str, datetime] = {}

    async def age(self, stage: Stage, *, now: datetime) -> float | None:
        """Return the seconds since the oldest import in or before a stage was accepted, or None for no such.

        The answer is at most one second short.
        """
        search = _search(self._marks.get(stage.name), now)
        low, high = next(search)
        while True:
            window = {f"open.{stage.name}": {"$gte": low, "$lt": high}}
            found = await self._imports.find_one(window, {"created_at": 1})
            try:
                low, high = search.send(None if found is None else found["created_at"])
            except StopIteration as end:
                oldest, self._marks[stage.name] = end.value
                return _age(oldest, now)


def _age(oldest: datetime | None, now: datetime) -> float | None:
    return None if oldest is None else max(0.0, (now - oldest).total_seconds())


def _search(mark: datetime | None, now: datetime) -> Search:
    """Find the earliest acceptance, to within a second, by probes of windows that hold little."""
    horizon, end = now - HORIZON, now + AHEAD
    windows = _toward(horizon, now, end)
    if mark is not None:
        found = yield horizon, mark
        windows = _away(mark, end) if found is None else _toward(horizon, mark, mark)
    for low, high in windows:
        found = yield low, high
        if found is not None:
            return (yield from _bisect(low, found))
    return None, now


def _bisect(low: datetime, found: datetime) -> Search:
    """Close in on the earliest acceptance at or after `low`, knowing a later one."""
    while found - low > CLOSE_ENOUGH:
        middle = low + (found - low) / 2
        earlier = yield low, middle
        if earlier is None:
            low = middle
        else:
            found = earlier
    return found, low


def _toward(low: datetime, target: datetime, end: datetime) -> Generator[Window, None, None]:
    """Walk from far in the past to a time, each window half as wide as the one before, then on to the end."""
    while target - low > CLOSE_ENOUGH:
        middle = low + (target - low) / 2
        yield low, middle
        low = middle
    yield low, end


def _away(low: datetime, end: datetime) -> Generator[Window, None, None]:
    """Walk from a mark on, each window twice as wide as the one before: the next oldest is seldom far."""
    width = CLOSE_ENOUGH * 2
    while low < end:
        yield low, min(low + width, end)
        low, width = low + width, width * 2

"""Read what the dashboard and the operator look at: the latest imports, and how many are in each state.

Lists are read by windows of time that double while too little is found, never unbounded: an index range
costs what it matches, on every server this runs on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database

from common.documents.claims import WITHOUT_SENT
from common.documents.database import Document, beginning_of
from common.documents.groups import GROUP_STATUSES
from common.documents.rerenders import RerendersAtDoor
from common.documents.statuses import STATUSES

# What a list shows of an import.
LISTED = dict.fromkeys(
    (
        *("organization_id", "image_id", "created_at", "updated_at", "status", "error", "attempts"),
        *("deliveries", "fence", "waiting_for", "not_before"),
    ),
    1,
)
_ON_DASHBOARD = {
    **dict.fromkeys(
        (
            *("organization_id", "image_id", "created_at", "status", "error", "attempts"),
            "waiting_for",
        ),
        1,
    ),
    "filename": beginning_of("filename"),
}

HORIZON = timedelta(days=3650)


class Overview:
    """The operator's side. Raises ConnectionFailure where MongoDB is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._imports = db.imports

    def latest(
        self,
        *,
        match: Mapping[str, Any],
        limit: int,
        now: datetime,
        fields: Mapping[str, Any] = WITHOUT_SENT,
    ) -> Iterator[Document]:
        """Walk imports from the latest back, without what callers sent."""
        for low, high in windows(now):
            if limit <= 0:
                return
            wanted = {**match, "created_at": {"$gte": low, "$lt": high}}
            found = list(self._imports.find(wanted, fields).sort("created_at", -1).limit(limit))
            yield from found
            limit -= len(found)

    def count(self, status: str, *, limit: int) -> int:
        """Count the imports in one state, at most to `limit`, beyond which a count costs too much."""
        return self._imports.count_documents({"status": status}, limit=limit)


class OverviewAtDoor:
    """The door's side. Raises ConnectionFailure where MongoDB is away."""

    def __init__(self, db: AsyncDatabase[Document]) -> None:
        self._imports, self._organizations = db.imports, db.organizations
        self._groups, self._rerenders = db.import_groups, RerendersAtDoor(db)

    async def latest(self, *, limit: int, now: datetime) -> list[Document]:
        """Return the latest imports of all organizations, with no more than a dashboard shows of each."""
        found: list[Document] = []
        for low, high in windows(now):
            if len(found) >= limit:
                break
            window = {"created_at": {"$gte": low, "$lt": high}}
            part = self._imports.find(window, _ON_DASHBOARD).sort("created_at", -1).limit(limit - len(found))
            found += [one async for one in part]
        return found

    async def counts(self, *, limit: int) -> dict[str, int]:
        """Count the imports in each state, each at most to `limit`."""
        return await _counts(self._imports, STATUSES, limit)

    async def group_counts(self, *, limit: int) -> dict[str, int]:
        """Count the import groups in each state, each at most to `limit`."""
        return await _counts(self._groups, GROUP_STATUSES, limit)

    async def rerenders(self, *, now: datetime, limit: int) -> dict[str, int]:
        """Count the rerenders that are `waiting`, `in_flight` and `delayed`, each at most to `limit`."""
        return await self._rerenders.standing(now, limit=limit)

    async def closed_gates(self) -> dict[str, str]:
        """Return the organizations whose imports wait, and for what."""
        found = self._organizations.find({"gate": {"$ne": None}}, {"gate.waiting_for": 1})
        return {one["_id"]: one["gate"]["waiting_for"] async for one in found}


async def _counts(
    collection: AsyncCollection[Document], statuses: Iterable[str], limit: int
) -> dict[str, int]:
    return {status: await collection.count_documents({"status": status}, limit=limit) for status in statuses}


def windows(now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Walk back from tomorrow (clocks differ) to the horizon, each window twice as wide as the one before."""
    high, width = now + timedelta(days=1), timedelta(days=1, minutes=1)
    while high > now - HORIZON:
        yield high - width, high
        high, width = high - width, width * 2

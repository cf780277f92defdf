"""Read what the dashboard and the operator look at: the latest imports, how many are in each state, and how old the
oldest open one of a stage is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database

from common.documents.claims import WITHOUT_SENT, Stage
from common.documents.database import Document, beginning_of
from common.documents.groups import GROUP_STATUSES
from common.documents.rerenders import RerendersAtDoor

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

# A list is read from the last minute first, and from further back while that holds too little; the last query is of
# everything. By its index MongoDB reads no more for it; a server that sorts what it matches (the sandbox's) has little
# to sort. Numbers: docs/decisions/0004.
RECENT = (timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=4), timedelta(days=3), None)


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
    ) -> list[Document]:
        """Return imports from the latest back, without what callers sent."""
        found: list[Document] = []
        for recent in _recent(match, now):
            found = list(self._imports.find(recent, fields).sort("created_at", -1).limit(limit))
            if len(found) >= limit:
                break
        return found

    def age(self, stage: Stage, *, now: datetime) -> float | None:
        """Return the seconds since the oldest import in or before a stage was accepted, or None for no such."""
        return _age(
            next(iter(self._imports.find(*_open(stage), sort=_OLDEST[stage.name], limit=1)), None), now
        )

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
        for recent in _recent({}, now):
            part = self._imports.find(recent, _ON_DASHBOARD).sort("created_at", -1).limit(limit)
            found = [one async for one in part]
            if len(found) >= limit:
                break
        return found

    async def age(self, stage: Stage, *, now: datetime) -> float | None:
        """Return the seconds since the oldest import in or before a stage was accepted, or None for no such."""
        return _age(await self._imports.find_one(*_open(stage), sort=_OLDEST[stage.name]), now)

    async def counts(self, statuses: Iterable[str], *, limit: int) -> dict[str, int]:
        """Count the imports in each of the states, each at most to `limit`."""
        return await _counts(self._imports, statuses, limit)

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


def _recent(match: Mapping[str, Any], now: datetime) -> Iterator[dict[str, Any]]:
    """Yield what to look for, each time further back than before."""
    for width in RECENT:
        yield dict(match) if width is None else {**match, "created_at": {"$gte": now - width}}


_OLDEST = {stage: [(f"open.{stage}", 1)] for stage in ("fetch", "render")}


def _open(stage: Stage) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the filter of the imports that are in or before a stage, and what is shown of one."""
    return {f"open.{stage.name}": {"$exists": True}}, {"created_at": 1}


def _age(oldest: Document | None, now: datetime) -> float | None:
    return None if oldest is None else max(0.0, (now - oldest["created_at"]).total_seconds())

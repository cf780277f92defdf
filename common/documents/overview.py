"""Read what the dashboard and the operator look at: the latest imports, and how many are in each state."""

from __future__ import annotations

from datetime import datetime, timedelta

from pymongo.asynchronous.database import AsyncDatabase

from common.documents.database import Document
from common.documents.imports import STATUSES

HORIZON = timedelta(days=3650)


class OverviewAtDoor:
    """The door's side. Raises ConnectionFailure where MongoDB is away."""

    def __init__(self, db: AsyncDatabase[Document]) -> None:
        self._imports = db.imports

    async def latest(self, *, limit: int, now: datetime) -> list[Document]:
        """Return the latest imports of all organizations, by windows that double: lists are never unbounded."""
        found: list[Document] = []
        high, width = now + timedelta(days=1), timedelta(days=1, minutes=1)
        while len(found) < limit and high > now - HORIZON:
            window = {"created_at": {"$gte": high - width, "$lt": high}}
            part = self._imports.find(window, {"params": 0}).sort("created_at", -1).limit(limit - len(found))
            found += [one async for one in part]
            high, width = high - width, width * 2
        return found

    async def counts(self, *, limit: int) -> dict[str, int]:
        """Count the imports in each state, each at most to `limit`, beyond which a count costs too much."""
        return {
            status: await self._imports.count_documents({"status": status}, limit=limit)
            for status in STATUSES
        }

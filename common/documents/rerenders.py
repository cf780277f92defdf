"""Keep what is to be rendered anew: one document for each image and recipe, alive like an import.

Shape: that of an import which has been fetched (status, fence, deliveries, lease, `due_at`, stages, history), with
`record_id` (the image), `original {key}` and `recipe`, the name of the recipe that is wanted. So claims, leases, retries and
ends are those of imports, and a run that was broken off goes on where it was. Nobody rings for them: the
collection is the queue, and its `due_at` index is looked at by render processes that have nothing else to do.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from common.documents.database import Document
from common.documents.images import NAMESPACE
from common.documents.imports import RENDER, Imports
from common.documents.statuses import ENDED

COLLECTION = "rerenders"
HELD = {"due_at": {"$exists": True}, "status": RENDER.doing}
OPEN = {"due_at": {"$exists": True}, "status": RENDER.before}


def rerender_id_of(image_id: str, recipe: str) -> str:
    """Return the id of the one document that an image has for a recipe."""
    return str(uuid.uuid5(NAMESPACE, f"{image_id} {recipe}"))


class Rerenders(Imports):
    """Every query on rerenders; those on one claim are inherited."""

    def __init__(self, db: Database[Document]) -> None:
        super().__init__(db, collection=COLLECTION)
        self._rerenders = db[COLLECTION]

    def order(self, image: Document, *, recipe: str, now: datetime) -> str:
        """Ask for an image to be rendered by a recipe, once; one that failed is tried again. Returns its id."""
        rerender_id = rerender_id_of(image["_id"], recipe)
        document = {
            "_id": rerender_id,
            "shape": 1,
            "organization_id": image["organization_id"],
            "image_id": None,
            "record_id": image["_id"],
            "request_id": None,
            "recipe": recipe,
            "status": "fetched",
            "error": None,
            "original": {**image["original"], "bytes": image["bytes"]},
            "fence": 0,
            "deliveries": 0,
            "attempts": 0,
            "asks": 0,
            "owner": None,
            "lease_until": None,
            "waiting_for": None,
            "not_before": None,
            "stages": {},
            "history": [{"at": now, "event": "ordered"}],
            "mark": str(uuid.uuid4()),
            "created_at": now,
            "updated_at": now,
            "due_at": now,
        }
        try:
            self._rerenders.insert_one(document)
        except DuplicateKeyError:
            seen = self.find(rerender_id)
            if seen is not None and seen["status"] == "failed":
                self.retried(seen, stored=True, now=now)
        return rerender_id

    def standing(self, now: datetime) -> dict[str, int]:
        """Return how many are `waiting`, `in_flight`, and `delayed` until their next attempt."""
        held, unheld = self._rerenders.count_documents(HELD), self._rerenders.count_documents(OPEN)
        delayed = self._rerenders.count_documents({**OPEN, "not_before": {"$gt": now}})
        return {"waiting": max(0, unheld - delayed), "in_flight": held, "delayed": delayed}

    def ended_among(self, rerender_ids: list[str]) -> dict[str, str]:
        """Return those of some that have ended, with how: `succeeded`, `failed` or `canceled`."""
        wanted = {"_id": {"$in": rerender_ids}, "status": {"$in": list(ENDED)}}
        return {one["_id"]: one["status"] for one in self._rerenders.find(wanted, {"status": 1})}


class RerendersAtDoor:
    """The door's side, which only counts. Raises ConnectionFailure where MongoDB is away."""

    def __init__(self, db: AsyncDatabase[Document]) -> None:
        self._rerenders = db[COLLECTION]

    async def standing(self, now: datetime, *, limit: int) -> dict[str, int]:
        """Return how many are `waiting`, `in_flight` and `delayed`, each counted up to a limit."""
        held, unheld, delayed = [
            await self._rerenders.count_documents(wanted, limit=limit)
            for wanted in (HELD, OPEN, {**OPEN, "not_before": {"$gt": now}})
        ]
        return {"waiting": max(0, unheld - delayed), "in_flight": held, "delayed": delayed}

"""Keep import groups: all pictures of an album, asked for by one call, and what became of each record.

    queued ──claim──▶ expanding ──▶ expanded
       ▲                 │
       └── given back ───┘          any of the three ──▶ canceled      of the first two ──▶ failed

How a group is claimed, held and looked at again is in `claims.py`. Its job lists the album and writes an import
for each picture (a child); from then on the children live like all imports. Shape beside that: `_id,
organization_id, user_id, request_id, album_id, source_type, options {created_since, max_bytes, kinds,
include_emails}`, and what the listing came to:

- `children` counts the imports that this group wrote, `positions` how many places it gave out: a child's
  `group_position` is unique in its group for ever, which makes it the key that pages are cut by.
- `existing` counts the records that had an import already, written by an earlier group.
- What was left out stands in `group_skips`, one document for each page of the listing, under the fence of the
  claim that wrote it. So no document grows with the album, and a listing begun anew does not add to the last.
- `canceling` stands while a canceled group may still have open children.

A child's id is made of organization, album and record: whoever lists the album again finds it there.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, DuplicateKeyError

from common.documents.claims import (
    HISTORY,
    Claim,
    Claims,
    LostClaimError,
    Stage,
)
from common.documents.database import Document
from common.documents.statuses import STATUSES
from common.documents.unclaimed import FREE, UNSET, unclaimed

EXPAND = Stage("expand", "queued", "expanding", "expanded", queue="fetch")
GROUP_STATUSES = ("queued", "expanding", "expanded", "failed", "canceled")
CLOSED = ("failed", "canceled")  # no more to cancel; an expanded group ends with the last of its children
MOST_SKIPPED = 10_000  # records left out that an answer names; the rest is in the store alone
CANCEL_RACES = 5

# A page shows a child's parameters, which are of our making; what else is kept of them is a copy.
_CHILD = dict.fromkeys(("metadatas", "filename", "listed", "history"), 0)

# The namespace under which children's ids are derived. Changing it would import every album a second time.
NAMESPACE = uuid.UUID("3c9a6f0e-51d7-4f43-8a0f-7b8e2f6d1c52")


def child_id_of(organization_id: str, album_id: str, record_id: str) -> str:
    """Return the id of the one import that a record of an album can ever have by groups."""
    return str(uuid.uuid5(NAMESPACE, f"{organization_id}/{album_id}/{record_id}"))


def new_group(  # noqa: PLR0913 - the whole shape in one place
    group_id: str,
    *,
    organization_id: str,
    user_id: str,
    request_id: str | None,
    album_id: str,
    source_type: str,
    options: Mapping[str, Any],
    now: datetime,
    due_in: float,
) -> Document:
    """Give a new group its shape. `due_in` is in seconds."""
    return {
        "_id": group_id,
        "shape": 1,
        "organization_id": organization_id,
        "user_id": user_id,
        "request_id": request_id,
        "album_id": album_id,
        "source_type": source_type,
        "options": dict(options),
        "children": 0,
        "positions": 0,
        "existing": 0,
        "skipped": {},
        **unclaimed(EXPAND, now=now, due_in=due_in),
    }


class Groups(Claims):
    """The workers' and the operators' side. Raises ConnectionFailure where MongoDB is away."""

    stages = (EXPAND,)
    ended = ("expanded", "failed", "canceled")
    noun = "group"
    again = "Send the same request again: what is there already is kept."

    def __init__(self, db: Database[Document]) -> None:
        super().__init__(db.import_groups)
        self._skips, self._imports = db.group_skips, db.imports

    def progressed(self, claim: Claim, *, now: datetime, **counts: int | dict[str, int]) -> None:
        """Write down how far a listing is (`children`, `positions`, `existing`, `skipped`). Raises LostClaimError."""
        held = {"_id": claim.id, "fence": claim.fence}
        if not self._change(held, claim.stage.doing, {"$set": counts}, event=None, now=now):
            raise LostClaimError(claim.id)

    def left_out(self, claim: Claim, page: int, skips: list[Document]) -> None:
        """Keep what one page of the listing left out, as `[{record_id, code}]`. Safe to repeat."""
        key = {"_id": f"{claim.id}/{claim.fence}/{page}"}
        told = {"group_id": claim.id, "fence": claim.fence, "page": page, "skips": skips}
        self._skips.replace_one(key, told, upsert=True)

    def expanded(self, claim: Claim, *, now: datetime) -> None:
        """End a listing well: every picture of the album has its import."""
        self._end(claim, "expanded", {"stages.expand.ended_at": now}, now=now)
        self._skips.delete_many({"group_id": claim.id, "fence": {"$lt": claim.fence}})

    def latest(self, *, match: Mapping[str, Any], limit: int) -> list[Document]:
        """Return groups from the latest back. They are few: one a call, where imports are one a picture."""
        return list(self._documents.find(dict(match), {"history": 0}).sort("created_at", -1).limit(limit))

    def count(self, group_id: str, status: str) -> int:
        """Count a group's children in one state."""
        return self._imports.count_documents({"group_id": group_id, "status": status})

    def reasons(self, group: Document) -> dict[str, int]:
        """Count what the last listing of a group left out, by code."""
        pages = self._skips.find({"group_id": group["_id"], "fence": group["fence"]})
        return dict(Counter(skip["code"] for page in pages for skip in page["skips"]))

    def canceling(self, *, limit: int) -> list[Document]:
        """Return canceled groups that may still have open children."""
        return list(self._documents.find({"canceling": True}, {"history": 0}).limit(limit))

    def canceled_whole(self, group_id: str) -> None:
        """Note that no child of a canceled group is open any more."""
        self._documents.update_one({"_id": group_id}, {"$unset": {"canceling": ""}})

    def cancel(self, seen: Document, *, now: datetime) -> bool:
        """Cancel a group just read; its children follow. False where it moved on meanwhile."""
        return self._documents.update_one(*_cancel(seen, now)).matched_count == 1


class GroupsAtDoor:
    """The door's side. Raises ConnectionFailure where MongoDB is away."""

    def __init__(self, db: AsyncDatabase[Document]) -> None:
        self._groups, self._skips, self._imports = db.import_groups, db.group_skips, db.imports

    async def insert(self, group: Document) -> None:
        """Write a group durably. Safe to repeat."""
        await _write(self._groups, group)

    async def find(self, group_id: str) -> Document | None:
        """Return one group, of whichever organization: whoever asks compares."""
        return await self._groups.find_one({"_id": group_id})

    async def counts(self, group: Document) -> dict[str, int]:
        """Count the group's children in each state.

        Those that succeeded are the rest: as an album is worked off they are the many, and a count costs what
        it counts. States are counted in the order of the way, so a child that moves on meanwhile is counted
        twice rather than missed, and nothing looks done that is not.
        """
        counts = dict.fromkeys(STATUSES, 0)
        for status in STATUSES:
            if status != "succeeded":
                counts[status] = await self._imports.count_documents(
                    {"group_id": group["_id"], "status": status}
                )
        counts["succeeded"] = max(0, group["children"] - sum(counts.values()))
        return counts

    async def left_out(self, group: Document) -> list[Document]:
        """Return what the listing left out, as `[{record_id, code}]`, at most MOST_SKIPPED of it."""
        pages = self._skips.find({"group_id": group["_id"]}).sort("page", 1)
        found: list[Document] = []
        async for page in pages:
            if page["fence"] == group["fence"]:
                found += page["skips"]
            if len(found) >= MOST_SKIPPED:
                break
        return found[:MOST_SKIPPED]

    async def children(self, group_id: str, *, start: int, limit: int) -> list[Document]:
        """Return the children at so many places from `start` on, in their order."""
        window = {"group_id": group_id, "group_position": {"$gte": start, "$lt": start + limit}}
        return [one async for one in self._imports.find(window, _CHILD).sort("group_position", 1)]

    async def cancel(self, group_id: str, *, now: datetime) -> Document | None:
        """Cancel a group and return it as it is then: one that failed stays so, whatever was seen of it before.

        None where workers move it on too fast just now.
        """
        for _ in range(CANCEL_RACES):
            seen = await self.find(group_id)
            if seen is None or seen["status"] in CLOSED:
                return seen
            if (await self._groups.update_one(*_cancel(seen, now))).matched_count == 1:
                return await self.find(group_id)
        return None


def _cancel(seen: Document, now: datetime) -> tuple[Document, Document]:
    """Return the condition and the change that cancel a group; whoever lists it loses the claim by this."""
    change = {
        "$set": {
            **FREE,
            "status": "canceled",
            "canceling": True,
            "canceled_at": now,
            "updated_at": now,
            "mark": str(uuid.uuid4()),
        },
        "$unset": UNSET,
        "$push": {"history": {"$each": [{"at": now, "event": "canceled"}], "$slice": -HISTORY}},
    }
    return {"_id": seen["_id"], "fence": seen["fence"], "status": seen["status"]}, change


async def _write(collection: AsyncCollection[Document], document: Document) -> None:
    """Write a new document durably. Safe to repeat: its id is made by us, so a second one finds it there."""
    try:
        await collection.insert_one(document)
    except DuplicateKeyError:
        return
    except ConnectionFailure:
        # The write may have landed with its reply lost; the same id cannot be written twice.
        try:
            await collection.insert_one(document)
        except DuplicateKeyError:
            return

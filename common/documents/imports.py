"""Keep imports: the life of one, its states, and what is asked of them beside claims.

    queued ──claim──▶ fetching ──▶ fetched ──claim──▶ rendering ──▶ succeeded
       ▲                 │            ▲                   │
       └── given back ───┘            └──── given back ───┘
    any of the five ──▶ failed | canceled          failed ──retry──▶ queued | fetched

How an import is claimed, held and looked at again, and what its fields mean for that, is in `claims.py`; the
shape of a new import is in `new_imports.py`, the door's two queries in `imports_at_door.py`. One that belongs to a group names it in `group_id`, has its
number there in `group_position`, and keeps in `listed` what the group's listing told of its record.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from common.documents.claims import WITHOUT_SENT, Claim, Claims, Stage
from common.documents.database import Document
from common.documents.statuses import ENDED, OPEN
from common.documents.unclaimed import FREE

FETCH = Stage("fetch", "queued", "fetching", "fetched", queue="fetch")
RENDER = Stage("render", "fetched", "rendering", "succeeded", queue="render")
STAGES = {stage.name: stage for stage in (FETCH, RENDER)}
DUPLICATE = 11000


def stage_of(status: str) -> Stage | None:
    """Return the stage that an open import is in or waits for; None for an ended one."""
    return next((stage for stage in STAGES.values() if status in (stage.before, stage.doing)), None)


class Imports(Claims):
    """The workers' and the operators' side. Raises ConnectionFailure where MongoDB is away."""

    stages = (FETCH, RENDER)
    ended = ENDED
    noun = "import"
    again = "Look at the picture and the workers' logs; `imports retry` tries it again."

    def __init__(self, db: Database[Document], *, collection: str = "imports") -> None:
        super().__init__(db[collection])

    def add_many(self, documents: list[Document]) -> set[str]:
        """Write imports down, all that are not there yet; return the ids of those that were. Safe to repeat."""
        if not documents:
            return set()
        try:
            self._documents.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            refused = error.details["writeErrors"]
            if any(one["code"] != DUPLICATE for one in refused):
                raise
            return {documents[one["index"]]["_id"] for one in refused}
        return set()

    def fetched(self, claim: Claim, *, original: Document, now: datetime, due_in: float) -> None:
        """End a fetch well: the original is stored, the thumbnails are next."""
        change = {
            "original": original,
            "open": {"render": claim.document["created_at"]},
            "due_at": now + timedelta(seconds=due_in),
            "stages.fetch.ended_at": now,
            "asks": 0,
        }
        self._end(claim, "fetched", change, now=now)

    def succeeded(self, claim: Claim, *, image_id: str, now: datetime, twin: str | None = None) -> None:
        """End the import well: every blob is stored and the entry names them; `twin` has the same bytes."""
        change = {"image_id": image_id, "duplicate_of": twin, "stages.render.ended_at": now}
        self._end(claim, "succeeded", change, now=now)

    def retried(self, seen: Document, *, stored: bool, now: datetime) -> Document | None:
        """Open a failed import again: all budgets anew, the fence goes on.

        `stored` says whether its original is still in the blobs; if so only the rendering is repeated.
        None where it is not a failed one (any more). An import without a source cannot be retried: ValueError.
        """
        return self._opened_again(seen, "failed", stored=stored, now=now)

    def repaired(self, seen: Document, *, stored: bool, now: datetime) -> Document | None:
        """Open an import again that has succeeded and whose image or bytes are gone; as for `retried`."""
        return self._opened_again(seen, "succeeded", stored=stored, now=now)

    def _opened_again(self, seen: Document, status: str, *, stored: bool, now: datetime) -> Document | None:
        if seen["status"] != status:
            return None
        if seen["record_id"] is None:
            raise ValueError("nothing to fetch: what it asked for can never be imported; submit it anew")
        stage = RENDER if stored else FETCH
        anew = {
            "status": stage.before,
            "error": None,
            "image_id": None,
            "deliveries": 0,
            "attempts": 0,
            "asks": 0,
            "stages": {name: part for name, part in seen["stages"].items() if name != stage.name},
            "open": {stage.name: seen["created_at"]},
            "retried_at": now,
            "due_at": now,
            **FREE,
        }
        if not self._change(seen, status, {"$set": anew}, event={"event": "retried"}, now=now):
            return None
        return {**seen, **anew}

    # -- many of them -----------------------------------------------------------------------------------

    def succeeded_with(self, organization_id: str, record_id: str) -> Document | None:
        """Return an import that has brought a record into an organization, if there is one."""
        wanted = {"record_id": record_id, "organization_id": organization_id, "status": "succeeded"}
        return self._documents.find_one(wanted, {"_id": 1, "image_id": 1})

    def open_in_group(self, group_id: str, *, limit: int) -> list[Document]:
        """Return imports of a group that have not ended, at most so many, in no order."""
        found: list[Document] = []
        for status in OPEN:
            wanted = {"group_id": group_id, "status": status}
            found += self._documents.find(wanted, WITHOUT_SENT).limit(limit - len(found))
            if len(found) >= limit:
                break
        return found

    def forget_keys(self, *, now: datetime, limit: int) -> int:
        """Forget at most so many idempotency keys whose time is over; the imports stay. Returns how many."""
        ended = {"idempotency_until": {"$lte": now}}
        over = [one["_id"] for one in self._documents.find(ended, {"_id": 1}).limit(limit)]
        fields = dict.fromkeys(("idempotency_key", "idempotency_digest", "idempotency_until"), "")
        if over:
            writes = [UpdateOne({"_id": import_id}, {"$unset": fields}) for import_id in over]
            self._documents.bulk_write(writes, ordered=False)
        return len(over)

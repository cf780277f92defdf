"""Keep imports: the life of one, its states, and every query on it.

    queued ──claim──▶ fetching ──▶ fetched ──claim──▶ rendering ──▶ succeeded
       ▲                 │            ▲                   │
       └── given back ───┘            └──── given back ───┘
    any of the five ──▶ failed | canceled          failed ──retry──▶ queued | fetched

The document is the truth and its own outbox; a message in Redis only says «look at import X now».

- `fence` counts claims and never goes back. Every write of a claim's holder names the fence and the status
  that the claim set, so whatever a worker writes after it lost its claim matches nothing.
- `deliveries` counts the claims that nobody ended: it is raised by the claim, before the risky work, and
  lowered by the write that ends it, whatever the end. So only killed workers use it up.
- `attempts` counts answers that were no good, `stages.*.attempts` those of one stage, which has the budget.
- `due_at` is the promise that someone will look again. Open imports have one, ended imports have none.
- `open.<stage>` holds the time of acceptance under the stage that is next, while the import is open.
- `not_before` keeps an import that waits from being claimed early; `waiting_for` says for what it waits,
  `expected_at` until when at the latest, where anybody can know.
- `calls` counts the calls of its source's allowance that it has cost, over all attempts.
- `mark` names the last change: a change whose reply was lost is recognised when it is tried again.

The shape of a new import is in `new_imports.py`, the door's two queries in `imports_at_door.py`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import ConnectionFailure

from common.documents.database import Document

HISTORY = 60  # entries kept per import; a long outage adds few, since waiting writes once per probe


@dataclass(frozen=True, slots=True)
class Stage:
    """One leg of the way: the states before, during and after it."""

    name: str
    before: str
    doing: str
    after: str


FETCH = Stage("fetch", "queued", "fetching", "fetched")
RENDER = Stage("render", "fetched", "rendering", "succeeded")
STAGES = {stage.name: stage for stage in (FETCH, RENDER)}
OPEN = ("queued", "fetching", "fetched", "rendering")
ENDED = ("succeeded", "failed", "canceled")
STATUSES = (*OPEN, *ENDED)


def stage_of(status: str) -> Stage | None:
    """Return the stage that an open import is in or waits for; None for an ended one."""
    return next((stage for stage in STAGES.values() if status in (stage.before, stage.doing)), None)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one import until the lease ends, held by whoever knows the fence."""

    import_id: str
    fence: int
    stage: Stage
    document: Document  # as it was when claimed
    probe: bool = False  # whether it was let through a closed gate
    calls: int = 0  # that the work has cost, of the source's allowance


class LostClaimError(Exception):
    """Somebody else has the import now, or it has ended: the work in hand is to be thrown away."""


class Imports:
    """The workers' and the operators' side. Raises ConnectionFailure where MongoDB is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._imports = db.imports

    def find(self, import_id: str) -> Document | None:
        """Return one import."""
        return self._imports.find_one({"_id": import_id})

    def find_many(self, import_ids: Iterable[str]) -> list[Document]:
        """Return those of the imports that exist, in no order, without their parameters."""
        return list(self._imports.find({"_id": {"$in": list(import_ids)}}, {"params": 0, "history": 0}))

    # -- one claim, from its beginning to each of its ends ----------------------------------------------

    def claim(self, seen: Document, stage: Stage, *, owner: str, now: datetime, lease: float) -> Claim | None:
        """Claim an import just read, unless it is not there to be claimed (any more, or yet)."""
        if seen["status"] != stage.before or (seen["not_before"] or now) > now:
            return None
        until = now + timedelta(seconds=lease)
        started = {f"stages.{stage.name}.started_at": now, f"stages.{stage.name}.ended_at": None}
        change = {
            "$set": {
                "status": stage.doing,
                "owner": owner,
                "lease_until": until,
                "due_at": until,
                "not_before": None,
                "waiting_for": None,
                "expected_at": None,
                "updated_at": now,
                **started,
            },
            "$inc": {"fence": 1, "deliveries": 1},
        }
        event = {"event": stage.doing, "fence": seen["fence"] + 1, "owner": owner}
        if not self._change(seen, stage.before, change, event=event, now=now):
            return None
        return Claim(seen["_id"], seen["fence"] + 1, stage, seen)

    def renew(self, claim: Claim, *, now: datetime, lease: float) -> bool:
        """Hold a claim for one more lease. False where it is lost."""
        until = now + timedelta(seconds=lease)
        held = self._imports.update_one(
            {"_id": claim.import_id, "fence": claim.fence, "status": claim.stage.doing},
            {"$set": {"lease_until": until, "due_at": until}},
        )
        return held.matched_count == 1

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

    def succeeded(self, claim: Claim, *, image_id: str, now: datetime) -> None:
        """End the import well: every blob is stored and the image entry names them."""
        change = {"image_id": image_id, "stages.render.ended_at": now}
        self._end(claim, "succeeded", change, now=now)

    def failed(self, claim: Claim, *, code: str, detail: str, retryable: bool, now: datetime) -> None:
        """End the import badly, with the code that says why."""
        change = {
            "error": {"code": code, "detail": detail, "retryable": retryable},
            f"stages.{claim.stage.name}.ended_at": now,
        }
        self._end(claim, "failed", change, now=now, event={"code": code})

    def given_back(self, claim: Claim, *, now: datetime) -> None:
        """End a claim without a result: this worker stops, the next one may begin at once."""
        self._end(
            claim, claim.stage.before, {"due_at": now, "asks": 0}, now=now, event={"event": "given back"}
        )

    def tried(self, claim: Claim, *, code: str, delay: float, now: datetime) -> None:
        """End a claim with a counted attempt; the next one comes after `delay` seconds."""
        again = now + timedelta(seconds=delay)
        counted = {"attempts": 1, f"stages.{claim.stage.name}.attempts": 1}
        change = {"due_at": again, "not_before": again, "waiting_for": "retry"}
        self._end(claim, claim.stage.before, change, now=now, event={"code": code}, count=counted)

    def waits(  # noqa: PLR0913 - all of it by keyword
        self,
        claim: Claim,
        *,
        waiting_for: str,
        code: str,
        look_in: float,
        may_go_early: bool,
        now: datetime,
        expected_at: datetime | None = None,
    ) -> None:
        """End a claim that could not be served: nothing is counted, someone looks again after `look_in`.

        `may_go_early`: something else holds it back (its organization's gate), and may let it go sooner.
        `expected_at` is when that should be over, where anybody can know.
        """
        again = now + timedelta(seconds=look_in)
        change = {
            "due_at": again,
            "waiting_for": waiting_for,
            "expected_at": expected_at,
            "not_before": None if may_go_early else again,
        }
        self._end(claim, claim.stage.before, change, now=now, event={"code": code})

    # -- what is done to an import without a claim ------------------------------------------------------

    def postponed(
        self,
        seen: Document,
        *,
        waiting_for: str,
        until: datetime,
        now: datetime,
        expected_at: datetime | None = None,
    ) -> bool:
        """Let an unclaimed import wait for its organization; written only where it says something new."""
        if seen["waiting_for"] == waiting_for and seen["due_at"] > now:
            return True
        waits = {"waiting_for": waiting_for, "expected_at": expected_at}
        change = {"$set": {**waits, "due_at": until, "updated_at": now}}
        return self._change(seen, seen["status"], change, event=None, now=now)

    def expire_lease(self, seen: Document, *, max_deliveries: int, now: datetime) -> Document | None:
        """Take back a claim whose lease has run out; the import waits again, or has failed.

        Returns the import as it is now, or None where somebody was faster.
        """
        stage = stage_of(seen["status"])
        if stage is None or seen["status"] != stage.doing or seen["lease_until"] > now:
            return None
        # A worker that renewed since the import was read keeps it.
        unrenewed = {"lease_until": seen["lease_until"]}
        if seen["deliveries"] >= max_deliveries:
            detail = (
                f"The worker died {seen['deliveries']} times in the middle of this import. "
                "Look at the picture and the workers' logs; `imports retry` tries it again."
            )
            killed = {"code": "worker_killed", "detail": detail, "retryable": True}
            return self._ended(seen, "failed", killed, now=now, also=unrenewed)
        change = {"$set": {"status": stage.before, "due_at": now, **_FREE, "asks": 0}}
        event = {"event": "lease expired", "fence": seen["fence"], "owner": seen["owner"]}
        if not self._change(seen, stage.doing, change, event=event, now=now, also=unrenewed):
            return None
        return {**seen, **change["$set"]}

    def end(  # noqa: PLR0913 - all of it by keyword
        self, seen: Document, status: str, *, code: str | None, detail: str, retryable: bool, now: datetime
    ) -> Document | None:
        """End an open import from outside (expired, worker_killed, canceled). None where it moved on.

        A worker that holds it loses its claim by this, since its writes name another status.
        """
        if seen["status"] not in OPEN:
            return None
        error = None if code is None else {"code": code, "detail": detail, "retryable": retryable}
        return self._ended(seen, status, error, now=now)

    def retried(self, seen: Document, *, stored: bool, now: datetime) -> Document | None:
        """Open a failed import again: all budgets anew, the fence goes on.

        `stored` says whether its original is still in the blobs; if so only the rendering is repeated.
        None where it is not a failed one (any more). An import without a source cannot be retried: ValueError.
        """
        return self._opened_again(seen, "failed", stored=stored, now=now)

    def repaired(self, seen: Document, *, stored: bool, now: datetime) -> Document | None:
        """Open an import again that has succeeded and whose image or bytes are gone; as for `retried`."""
        return self._opened_again(seen, "succeeded", stored=stored, now=now)

    def woken(self, seen: Document, *, now: datetime) -> Document | None:
        """Make an open import due that nobody would have looked at again. None where it moved on.

        One that is held stays held: whoever looks judges its lease.
        """
        stage = stage_of(seen["status"])
        if stage is None:
            return None
        change = {"$set": {"due_at": now, "open": {stage.name: seen["created_at"]}, "asks": 0}}
        if not self._change(seen, seen["status"], change, event={"event": "woken"}, now=now):
            return None
        return {**seen, **change["$set"]}

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
            **_FREE,
        }
        if not self._change(seen, status, {"$set": anew}, event={"event": "retried"}, now=now):
            return None
        return {**seen, **anew}

    def look_later(self, seen: Iterable[tuple[Document, datetime]]) -> None:
        """Push `due_at` of open imports that were asked for again, each only if nothing happened meanwhile."""
        writes = [
            UpdateOne(
                {"_id": one["_id"], "fence": one["fence"], "status": one["status"], "mark": one["mark"]},
                {"$set": {"due_at": due_at}, "$inc": {"asks": 1}},
            )
            for one, due_at in seen
        ]
        if writes:
            self._imports.bulk_write(writes, ordered=False)

    # -- windows: never everything that is due, never its minimum ---------------------------------------

    def due_between(self, low: datetime, high: datetime, *, limit: int) -> list[Document]:
        """Return open imports that are due in a window, earliest first, without their parameters."""
        window = {"due_at": {"$gte": low, "$lt": high}}
        return list(self._imports.find(window, {"params": 0, "history": 0}).sort("due_at", 1).limit(limit))

    def any_open(self, stage: Stage, low: datetime, high: datetime) -> datetime | None:
        """Return when some import that is at or before a stage was accepted, within a window, or None."""
        field = f"open.{stage.name}"
        found = self._imports.find_one({field: {"$gte": low, "$lt": high}}, {"created_at": 1})
        return None if found is None else found["created_at"]

    def forget_keys(self, low: datetime, high: datetime, *, limit: int) -> int:
        """Forget idempotency keys whose time ended in a window; the imports stay. Returns how many."""
        window = {"idempotency_until": {"$gte": low, "$lt": high}}
        over = [one["_id"] for one in self._imports.find(window, {"_id": 1}).limit(limit)]
        fields = dict.fromkeys(("idempotency_key", "idempotency_digest", "idempotency_until"), "")
        if over:
            writes = [UpdateOne({"_id": import_id}, {"$unset": fields}) for import_id in over]
            self._imports.bulk_write(writes, ordered=False)
        return len(over)

    # -- the shapes of a conditional write --------------------------------------------------------------

    def _ended(
        self,
        seen: Document,
        status: str,
        error: Document | None,
        *,
        now: datetime,
        also: Document | None = None,
    ) -> Document | None:
        change = {"$set": {"status": status, "error": error, **_FREE}, "$unset": _UNSET}
        event = {"event": status, "code": error["code"]} if error else {"event": status}
        if not self._change(seen, seen["status"], change, event=event, now=now, also=also):
            return None
        return {**seen, "status": status, "error": error}

    def _end(  # noqa: PLR0913 - all of it by keyword
        self,
        claim: Claim,
        status: str,
        fields: Document,
        *,
        now: datetime,
        event: Document | None = None,
        count: Mapping[str, int] | None = None,
    ) -> None:
        """End a claim: the delivery is given back in the same write. Raises LostClaimError."""
        free = {name: value for name, value in _FREE.items() if name not in fields}
        change: Document = {
            "$set": {**free, **fields, "status": status},
            "$inc": {"deliveries": -1, "calls": claim.calls, **(count or {})},
        }
        if status in ENDED:
            change["$unset"] = _UNSET
        held = {"_id": claim.import_id, "fence": claim.fence}
        told = {"event": status, "fence": claim.fence, **(event or {})}
        if not self._change(held, claim.stage.doing, change, event=told, now=now):
            raise LostClaimError(claim.import_id)

    def _change(  # noqa: PLR0913 - all of it by keyword
        self,
        seen: Document,
        status: str,
        change: Document,
        *,
        event: Document | None,
        now: datetime,
        also: Document | None = None,
    ) -> bool:
        """Compare and set on `{_id, fence, status}`. True where the change is in place.

        When the connection fails the change may have landed: it is tried once more, and then its mark tells.
        """
        mark = str(uuid.uuid4())
        change = {**change, "$set": {**change["$set"], "mark": mark, "updated_at": now}}
        if event is not None:
            change["$push"] = {"history": {"$each": [{"at": now, **event}], "$slice": -HISTORY}}
        wanted = {"_id": seen["_id"], "fence": seen["fence"], "status": status, **(also or {})}
        try:
            return self._imports.update_one(wanted, change).matched_count == 1
        except ConnectionFailure:
            if self._imports.update_one(wanted, change).matched_count == 1:
                return True
            now_there = self._imports.find_one({"_id": seen["_id"]}, {"mark": 1})
            return now_there is not None and now_there["mark"] == mark


# What an import that nobody holds does not have.
_FREE: Document = dict.fromkeys(("owner", "lease_until", "waiting_for", "expected_at", "not_before"))
_UNSET: Document = {"due_at": "", "open": ""}

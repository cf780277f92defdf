"""Keep what is worked on: documents that one worker at a time holds, and that somebody looks at again.

Imports and import groups are such documents; what each of them is, and its own ends, stand in their files.
The document is the truth and its own outbox; a message in Redis only says «look at X now».

- `fence` counts claims and never goes back. Every write of a claim's holder names the fence and the status
  that the claim set, so whatever a worker writes after it lost its claim matches nothing.
- `deliveries` counts the claims that nobody ended: it is raised by the claim, before the risky work, and
  lowered by the write that ends it, whatever the end. So only killed workers use it up: one that MongoDB
  did not hear gives its claim back later.
- `attempts` counts answers that were no good, `stages.*.attempts` those of one stage, which has the budget.
- `due_at` is the promise that someone will look again. Open documents have one, ended ones have none.
- `open.<stage>` holds the time of acceptance under the stage that is next, while the document is open.
- `not_before` keeps one that waits from being claimed early; `waiting_for` says for what it waits,
  `expected_at` until when at the latest, where anybody can know.
- `calls` counts the calls of its source's allowance that it has cost, over all attempts.
- `mark` names the last change: a change whose reply was lost is recognised when it is tried again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import ConnectionFailure

from common.documents.database import Document
from common.documents.unclaimed import FREE, UNSET

# What lists leave out: each of these may be as large as a request's body, the history as long as HISTORY.
WITHOUT_SENT = dict.fromkeys(("params", "metadatas", "filename", "album_id", "listed", "history"), 0)
HISTORY = 60  # entries kept per document; a long outage adds few, since waiting writes once per probe


@dataclass(frozen=True, slots=True)
class Stage:
    """One leg of the way: the states before, during and after it, and the queue of the workers that do it.

    Whatever is done on the queue `fetch` asks the organization's source, and waits while its gate is closed.
    """

    name: str
    before: str
    doing: str
    after: str
    queue: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one document until the lease ends, held by whoever knows the fence."""

    id: str
    fence: int
    stage: Stage
    document: Document  # as it was when claimed
    probe: bool = False  # whether it was let through a closed gate
    calls: int = 0  # that the work has cost, of the source's allowance
    mark: str = ""  # that the claim has left; gone with the next change of the document


class LostClaimError(Exception):
    """Somebody else has the document now, or it has ended: the work in hand is to be thrown away."""


class UnheardClaimError(ConnectionFailure):
    """MongoDB went away before it said whether a claim is in place; if it is, nobody works under it."""

    def __init__(self, claim: Claim) -> None:
        super().__init__("no answer to a claim")
        self.claim = claim


class Claims:
    """The workers' and the operators' side of one collection. Raises ConnectionFailure where MongoDB is away.

    A kind of document says what its stages are and which states end it.
    """

    stages: ClassVar[tuple[Stage, ...]]
    ended: ClassVar[tuple[str, ...]]
    noun: ClassVar[str]
    again: ClassVar[str]  # how whoever reads of an end may have it tried again

    def __init__(self, collection: Collection[Document]) -> None:
        self._documents = collection

    def stage_of(self, status: str) -> Stage | None:
        """Return the stage that an open document is in or waits for; None for an ended one."""
        return next((stage for stage in self.stages if status in (stage.before, stage.doing)), None)

    def find(self, document_id: str) -> Document | None:
        """Return one document."""
        return self._documents.find_one({"_id": document_id})

    def find_many(self, document_ids: Iterable[str]) -> list[Document]:
        """Return those of the documents that exist, in no order, without what callers sent."""
        wanted = {"_id": {"$in": list(document_ids)}}
        return list(self._documents.find(wanted, WITHOUT_SENT))

    # -- one claim, from its beginning to each of its ends ----------------------------------------------

    def claim(self, seen: Document, stage: Stage, *, owner: str, now: datetime, lease: float) -> Claim | None:
        """Claim a document just read, unless it is not there to be claimed (any more, or yet).

        Raises UnheardClaimError where nobody can say: the claim in it is to be `released`.
        """
        if seen["status"] != stage.before or (seen["not_before"] or now) > now:
            return None
        change = self._claiming(stage, owner=owner, now=now, lease=lease)
        claim = Claim(seen["_id"], seen["fence"] + 1, stage, seen, mark=str(uuid.uuid4()))
        event = {"event": stage.doing, "fence": claim.fence, "owner": owner}
        try:
            won = self._change(seen, stage.before, change, event=event, now=now, mark=claim.mark)
        except ConnectionFailure as error:
            raise UnheardClaimError(claim) from error
        return claim if won else None

    def claim_unread(  # noqa: PLR0913 - all of it by keyword
        self, document_id: str, *, organization_id: str, stage: Stage, owner: str, now: datetime, lease: float
    ) -> Claim | None:
        """Claim a document before it is read, in one round trip, if each stage before it went well at the first go.

        None where that is not so, or where it is not there to be claimed: then one has to look. Raises
        UnheardClaimError as `claim` does.
        """
        fence = self.stages.index(stage)  # one claim for each stage before it
        claim = Claim(document_id, fence + 1, stage, {}, mark=str(uuid.uuid4()))
        change = self._claiming(stage, owner=owner, now=now, lease=lease)
        change["$set"] |= {"mark": claim.mark, "updated_at": now}
        event = {"at": now, "event": stage.doing, "fence": claim.fence, "owner": owner}
        change["$push"] = {"history": {"$each": [event], "$slice": -HISTORY}}
        wanted = {"_id": document_id, "organization_id": organization_id, "status": stage.before}
        try:
            seen = self._documents.find_one_and_update({**wanted, "fence": fence, "not_before": None}, change)
        except ConnectionFailure as error:
            raise UnheardClaimError(claim) from error
        return None if seen is None else replace(claim, document=seen)

    def renew(self, claim: Claim, *, now: datetime, lease: float) -> bool:
        """Hold a claim for one more lease. False where it is lost."""
        until = now + timedelta(seconds=lease)
        held = self._documents.update_one(
            {"_id": claim.id, "fence": claim.fence, "status": claim.stage.doing},
            {"$set": {"lease_until": until, "due_at": until}},
        )
        return held.matched_count == 1

    def failed(self, claim: Claim, *, code: str, detail: str, retryable: bool, now: datetime) -> None:
        """End it badly, with the code that says why."""
        change = {
            "error": {"code": code, "detail": detail, "retryable": retryable},
            f"stages.{claim.stage.name}.ended_at": now,
        }
        self._end(claim, "failed", change, now=now, event={"code": code})

    def given_back(self, claim: Claim, *, now: datetime) -> None:
        """End a claim without a result: this worker stops, the next one may begin at once."""
        again = {"due_at": now, "asks": 0}
        self._end(claim, claim.stage.before, again, now=now, event={"event": "given back"})

    def released(self, claim: Claim, *, now: datetime) -> None:
        """Give back a claim that its worker lost sight of, if it is in place and nothing has happened since.

        Its fence alone does not show that: where it never arrived, another one may have been made of it.
        """
        again, untouched = {"due_at": now, "asks": 0}, {"mark": claim.mark}
        self._end(claim, claim.stage.before, again, now=now, event={"event": "given back"}, also=untouched)

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

    # -- what is done without a claim --------------------------------------------------------------------

    def postponed(
        self,
        seen: Document,
        *,
        waiting_for: str,
        until: datetime,
        now: datetime,
        expected_at: datetime | None = None,
    ) -> bool:
        """Let an unclaimed document wait for its organization; written only where it says something new."""
        if seen["waiting_for"] == waiting_for and seen["due_at"] > now:
            return True
        waits = {"waiting_for": waiting_for, "expected_at": expected_at}
        change = {"$set": {**waits, "due_at": until, "updated_at": now}}
        return self._change(seen, seen["status"], change, event=None, now=now)

    def expire_lease(self, seen: Document, *, max_deliveries: int, now: datetime) -> Document | None:
        """Take back a claim whose lease has run out; the document waits again, or has failed.

        Returns it as it is now, or None where somebody was faster.
        """
        stage = self.stage_of(seen["status"])
        if stage is None or seen["status"] != stage.doing or seen["lease_until"] > now:
            return None
        # A worker that renewed since it was read keeps it.
        unrenewed = {"lease_until": seen["lease_until"]}
        if seen["deliveries"] >= max_deliveries:
            detail = (
                f"The worker died {seen['deliveries']} times in the middle of this {self.noun}. {self.again}"
            )
            killed = {"code": "worker_killed", "detail": detail, "retryable": True}
            return self._ended(seen, "failed", killed, now=now, also=unrenewed)
        change = {"$set": {"status": stage.before, "due_at": now, **FREE, "asks": 0}}
        event = {"event": "lease expired", "fence": seen["fence"], "owner": seen["owner"]}
        if not self._change(seen, stage.doing, change, event=event, now=now, also=unrenewed):
            return None
        return {**seen, **change["$set"]}

    def end(  # noqa: PLR0913 - all of it by keyword
        self, seen: Document, status: str, *, code: str | None, detail: str, retryable: bool, now: datetime
    ) -> Document | None:
        """End an open document from outside (expired, worker_killed, canceled). None where it moved on.

        A worker that holds it loses its claim by this, since its writes name another status.
        """
        if self.stage_of(seen["status"]) is None:
            return None
        error = None if code is None else {"code": code, "detail": detail, "retryable": retryable}
        return self._ended(seen, status, error, now=now)

    def look_later(self, seen: Iterable[tuple[Document, datetime]]) -> None:
        """Push `due_at` of open documents that were asked for again, each only if nothing happened meanwhile."""
        writes = [
            UpdateOne(
                {"_id": one["_id"], "fence": one["fence"], "status": one["status"], "mark": one["mark"]},
                {"$set": {"due_at": due_at}, "$inc": {"asks": 1}},
            )
            for one, due_at in seen
        ]
        if writes:
            self._documents.bulk_write(writes, ordered=False)

    def woken(self, seen: Document, *, now: datetime) -> Document | None:
        """Make an open document due that nobody would have looked at again. None where it moved on.

        One that is held stays held: whoever looks judges its lease.
        """
        stage = self.stage_of(seen["status"])
        if stage is None:
            return None
        change = {"$set": {"due_at": now, "open": {stage.name: seen["created_at"]}, "asks": 0}}
        if not self._change(seen, seen["status"], change, event={"event": "woken"}, now=now):
            return None
        return {**seen, **change["$set"]}

    # -- open documents by their due time, in the order of its index ------------------------------------

    def find_due(self, *, now: datetime, limit: int) -> list[Document]:
        """Return open documents whose due time has come, earliest first, without what callers sent."""
        return self._by_due_at({"due_at": {"$lte": now}}, limit)

    def find_due_after(self, piece: Iterable[Document], *, now: datetime, limit: int) -> list[Document]:
        """Return the open documents that follow a piece of them, earliest first; an empty one begins at `now`.

        Those that are due at the same moment as the last one of the piece are not passed over.
        """
        earlier = list(piece)
        last = earlier[-1]["due_at"] if earlier else now
        known = [one["_id"] for one in earlier if one["due_at"] == last]
        return self._by_due_at({"due_at": {"$gte": last}, "_id": {"$nin": known}}, limit)

    def _by_due_at(self, wanted: Document, limit: int) -> list[Document]:
        found = self._documents.find(wanted, WITHOUT_SENT).sort("due_at", 1)
        return list(found.limit(limit))

    # -- the shapes of a conditional write --------------------------------------------------------------

    @staticmethod
    def _claiming(stage: Stage, *, owner: str, now: datetime, lease: float) -> Document:
        until = now + timedelta(seconds=lease)
        return {
            "$set": {
                "status": stage.doing,
                "owner": owner,
                "lease_until": until,
                "due_at": until,
                "not_before": None,
                "waiting_for": None,
                "expected_at": None,
                f"stages.{stage.name}.started_at": now,
                f"stages.{stage.name}.ended_at": None,
            },
            "$inc": {"fence": 1, "deliveries": 1},
        }

    def _ended(
        self,
        seen: Document,
        status: str,
        error: Document | None,
        *,
        now: datetime,
        also: Document | None = None,
    ) -> Document | None:
        change = {"$set": {"status": status, "error": error, **FREE}, "$unset": UNSET}
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
        also: Document | None = None,
    ) -> None:
        """End a claim: the delivery is given back in the same write. Raises LostClaimError."""
        free = {name: value for name, value in FREE.items() if name not in fields}
        change: Document = {
            "$set": {**free, **fields, "status": status},
            "$inc": {"deliveries": -1, "calls": claim.calls, **(count or {})},
        }
        if status in self.ended:
            change["$unset"] = UNSET
        held = {"_id": claim.id, "fence": claim.fence}
        told = {"event": status, "fence": claim.fence, **(event or {})}
        if not self._change(held, claim.stage.doing, change, event=told, now=now, also=also):
            raise LostClaimError(claim.id)

    def _change(  # noqa: PLR0913 - all of it by keyword
        self,
        seen: Document,
        status: str,
        change: Document,
        *,
        event: Document | None,
        now: datetime,
        also: Document | None = None,
        mark: str | None = None,
    ) -> bool:
        """Compare and set on `{_id, fence, status}`. True where the change is in place.

        When the connection fails the change may have landed: it is tried once more, and then its mark tells.
        """
        mark = mark or str(uuid.uuid4())
        change = {**change, "$set": {**change["$set"], "mark": mark, "updated_at": now}}
        if event is not None:
            change["$push"] = {"history": {"$each": [{"at": now, **event}], "$slice": -HISTORY}}
        wanted = {"_id": seen["_id"], "fence": seen["fence"], "status": status, **(also or {})}
        try:
            return self._documents.update_one(wanted, change).matched_count == 1
        except ConnectionFailure:
            if self._documents.update_one(wanted, change).matched_count == 1:
                return True
            now_there = self._documents.find_one({"_id": seen["_id"]}, {"mark": 1})
            return now_there is not None and now_there["mark"] == mark

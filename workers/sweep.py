"""Look again at whatever is due: what makes a lost message, worker or store a delay of seconds.

Several sweepers may run: each step is one conditional write or one script, so two of them do the same
thing once. One that is stopped only delays.
"""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import redis
import structlog
from pymongo.errors import PyMongoError

from common.crashpoints import reached
from common.documents.claims import Claims, Stage
from common.documents.clock import MEASURE_SECONDS
from common.documents.database import Document
from common.documents.organizations import Organizations
from common.queue.dispatch import OVERDUE_SECONDS, Dispatcher
from common.queue.foreign import is_foreign_type, mend
from workers.gates import Gates

log = structlog.get_logger(__name__)

BATCH = 500  # documents looked at in one go; a backlog is worked off in many, each bounded
FIRST_STEP_SECONDS = 15.0
LAST_STEP_SECONDS = 900.0
HELD_SECONDS = 30.0
STEP_SECONDS = 2.0  # a clock that goes so far astray between two looks was set, and did not just run on


class Sweeper:
    """One tick after the other; each part survives the absence of the store that it needs."""

    def __init__(  # noqa: PLR0913 - everything that has an effect is handed in
        self,
        *,
        ledgers: Sequence[Claims],
        organizations: Organizations,
        dispatcher: Dispatcher,
        gates: Gates,
        redis_client: redis.Redis,
        recover: Callable[[], None],
        count: Callable[[str, int], None],
        clock: Callable[[], datetime],
        max_deliveries: int,
        deadline: timedelta,
        lease: timedelta,
        chance: random.Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledgers, self._organizations = ledgers, organizations
        self._dispatcher, self._gates = dispatcher, gates
        self._redis, self._recover, self._count, self._clock = redis_client, recover, count, clock
        self._max_deliveries, self._deadline, self._lease = max_deliveries, deadline, lease
        self._chance = chance or random.Random()  # noqa: S311 - jitter, no secret
        self._monotonic = monotonic
        self._judge_from = 0.0  # monotonic seconds; leases are not judged before
        self._last: tuple[datetime, float] | None = None  # the store's time and ours at the last look
        self._walks: list[tuple[Claims, list[Document]]] = []  # and the last piece of each
        self._epoch: str | None = None
        self._away: set[str] = set()

    def tick(self) -> bool:
        """Look once. Returns True where there was more than one batch, so that the next look should not wait."""
        swept: Counter[str] = Counter()
        more = False
        self._notice_a_set_clock()
        try:
            more = self._documents(swept)
            self._back("documents")
        except PyMongoError as error:
            # Workers could not renew while the store was away, so no lease is judged until one has passed.
            self._spare_leases(0)
            self._gone("documents", error)
        except redis.RedisError as error:
            if not self._mended(error):
                self._gone("queue", error)
        except Exception:
            # Ended by it, the sweeper would meet the same again at each start, and nobody would look at the rest.
            log.exception("look failed")
        else:
            self._back("queue")
        swept += Counter()  # drops what is zero
        if swept:
            log.info("swept", **swept)
            self._tell(swept)
        return more

    def _notice_a_set_clock(self) -> None:
        """Judge no lease for a while after the store's clock was set.

        Workers learn of the new time up to a minute after us. Until then each of their leases looks as if it
        had long expired, and five looks at a job that goes on well would end it as `worker_killed`.
        """
        now, at = self._clock(), self._monotonic()
        if self._last is not None:
            step = (now - self._last[0]).total_seconds() - (at - self._last[1])
            if abs(step) > STEP_SECONDS:
                self._spare_leases(MEASURE_SECONDS)
                log.warning("clock of the store was set", seconds=round(step, 1))
        self._last = now, at

    def _spare_leases(self, seconds: float) -> None:
        """Judge no lease until so many seconds and one lease are over; what was to be longer stays so."""
        until = self._monotonic() + seconds + self._lease.total_seconds()
        self._judge_from = max(self._judge_from, until)

    # -- what MongoDB says is due ------------------------------------------------------------------------

    def _documents(self, swept: Counter[str]) -> bool:
        organizations: dict[str, Document | None] = {}
        more = False
        for ledger in self._ledgers:
            more = self._due(ledger, organizations, swept) or more
        more = self._after_an_emptied_redis(organizations, swept) or more
        for ledger in self._ledgers:
            for stage in ledger.stages:
                self._overdue(ledger, stage, organizations, swept)
                self._resume(stage, organizations)
        self._recover()
        return more

    def _due(self, ledger: Claims, organizations: dict[str, Document | None], swept: Counter[str]) -> bool:
        """Ask for what is due of one kind, one batch. True where there may be more."""
        found = ledger.find_due(now=self._clock(), limit=BATCH)
        judged = (self._judged_alone(ledger, seen, swept) for seen in found)
        asked = [one for one in judged if one is not None]
        self._ask(ledger, asked, organizations)
        if asked:
            reached("sweep.asked")
        ledger.look_later((seen, self._next_look(seen)) for seen in asked)
        swept["asked"] += len(asked)
        return len(found) >= BATCH

    def _judged_alone(self, ledger: Claims, seen: Document, swept: Counter[str]) -> Document | None:
        """Judge one document so that one of a shape nobody foresaw stops no other."""
        try:
            return self._judged(ledger, seen, swept)
        except (KeyError, TypeError, ValueError):
            log.exception("document cannot be judged", kind=ledger.noun, id=seen["_id"])
            return None

    def _judged(  # noqa: PLR0911 - a case each
        self, ledger: Claims, seen: Document, swept: Counter[str]
    ) -> Document | None:
        """Return a due document that is to be asked for, after expiring its lease or its deadline."""
        now, stage = self._clock(), ledger.stage_of(seen["status"])
        if stage is None:
            return None
        held = seen["status"] == stage.doing
        if held and (seen["lease_until"] > now or self._monotonic() < self._judge_from):
            return None
        if now - (seen.get("retried_at") or seen["created_at"]) > self._deadline:
            detail = f"It could not be done within its deadline; see what it waited for. {ledger.again}"
            ended = ledger.end(seen, "failed", code="expired", detail=detail, retryable=True, now=now)
            swept["expired"] += ended is not None
            return None
        if not held:
            return seen
        freed = ledger.expire_lease(seen, max_deliveries=self._max_deliveries, now=now)
        if freed is None:
            return None
        swept["lease_expired"] += 1
        reached("sweep.freed")
        if freed["status"] == "failed":
            swept["worker_killed"] += 1
            self._dispatcher.finish(stage.name, seen["organization_id"], seen["_id"])
            return None
        # What was dispatched to the dead worker is so no more, or it would be left as it is.
        self._dispatcher.finish(stage.name, seen["organization_id"], seen["_id"])
        return ledger.find(seen["_id"])

    def _ask(
        self, ledger: Claims, asked: Iterable[Document], organizations: dict[str, Document | None]
    ) -> None:
        work: defaultdict[tuple[Stage, str], list[tuple[str, datetime]]] = defaultdict(list)
        for seen in asked:
            stage = ledger.stage_of(seen["status"])
            if stage is not None and not self._gates.holds(seen):
                work[stage, seen["organization_id"]].append((seen["_id"], seen["created_at"]))
        for (stage, organization_id), waiting in work.items():
            limit = self._gates.limit(self._organization(organization_id, organizations), stage)
            self._dispatcher.enqueue(stage.name, organization_id, waiting, limit=limit)

    def _next_look(self, seen: Document) -> datetime:
        """Return when to look at a dispatched import again. What is dispatched or in a backlog is watched in Redis,
        so the step may widen; an emptied Redis is noticed by its epoch. One that is held by itself is not there."""
        if self._gates.holds(seen):
            return self._clock() + timedelta(seconds=HELD_SECONDS * self._chance.uniform(0.8, 1.2))
        step = min(LAST_STEP_SECONDS, FIRST_STEP_SECONDS * 4.0 ** min(seen["asks"], 6))
        return self._clock() + timedelta(seconds=step * self._chance.uniform(0.8, 1.2))

    # -- what Redis holds, and what it lost ------------------------------------------------------------

    def _after_an_emptied_redis(self, organizations: dict[str, Document | None], swept: Counter[str]) -> bool:
        """Dispatch all that is open anew where Redis is not the one that they were dispatched by."""
        found = self._dispatcher.epoch(str(uuid.uuid4()))
        if found != self._epoch:
            log.warning("dispatching every open import", reason="the queue is empty, new, or first seen")
            self._epoch, self._walks = found, [(one, []) for one in self._ledgers]
        if not self._walks:
            return False
        ledger, before = self._walks[0]
        now = self._clock()
        # What is due by now is met by `_due`.
        piece = ledger.find_due_after(before, now=now, limit=BATCH)
        waiting = [
            seen
            for seen in piece
            if (stage := ledger.stage_of(seen["status"])) is not None
            and seen["status"] == stage.before
            and (seen["not_before"] or now) <= now
        ]
        self._ask(ledger, waiting, organizations)
        swept["asked_anew"] += len(waiting)
        if len(piece) < BATCH:
            self._walks.pop(0)
        else:
            self._walks[0] = ledger, piece
        return bool(self._walks)

    def _overdue(
        self,
        ledger: Claims,
        stage: Stage,
        organizations: dict[str, Document | None],
        swept: Counter[str],
    ) -> None:
        """Look at what was dispatched and not begun in time, and let the documents say what that means."""
        overdue = self._dispatcher.overdue(stage.name, limit=BATCH)
        if not overdue:
            return
        seen = {one["_id"]: one for one in ledger.find_many(late.document_id for late in overdue)}
        again = []
        for late in overdue:
            one, named = (
                seen.get(late.document_id),
                (stage.name, late.organization_id, late.document_id),
            )
            if one is not None and one["status"] == stage.doing:
                self._dispatcher.extend(*named)  # it is worked on: the lease judges
            elif one is None or not self._may_begin(stage, one):
                self._dispatcher.finish(*named)
            elif self._gates.limit(self._organization(late.organization_id, organizations), stage) == 0:
                self._dispatcher.requeue(*named, one["created_at"])
            elif late.waits:
                self._dispatcher.extend(*named)
            else:
                self._dispatcher.redeliver(*named, seconds=OVERDUE_SECONDS * 2.0 ** min(one["asks"], 4))
                again.append(one)
        ledger.look_later((one, self._next_look(one)) for one in again)
        swept["redelivered"] += len(again)

    def _may_begin(self, stage: Stage, seen: Document) -> bool:
        now = self._clock()
        return bool(seen["status"] == stage.before and (seen["not_before"] or now) <= now)

    def _resume(self, stage: Stage, organizations: dict[str, Document | None]) -> None:
        """Serve the backlogs: places that a crash left empty, gates that are due or open again."""
        waiting = self._dispatcher.organizations(stage.name)
        if waiting:
            limits = {
                one: self._gates.limit(self._organization(one, organizations), stage) for one in waiting
            }
            self._dispatcher.resume(stage.name, limits)

    # -- the rest -----------------------------------------------------------------------------------------

    def _organization(self, organization_id: str, known: dict[str, Document | None]) -> Document | None:
        if organization_id not in known:
            known[organization_id] = self._organizations.find(organization_id)
        return known[organization_id]

    def _tell(self, swept: Counter[str]) -> None:
        try:
            for reason, amount in swept.items():
                self._count(reason, amount)
        except redis.RedisError as error:
            self._gone("queue", error)

    def _mended(self, error: redis.RedisError) -> bool:
        """Remove what stands in the way in Redis, where that is the error. True where something did."""
        if not is_foreign_type(error):
            return False
        try:
            names = mend(self._redis)
        except redis.RedisError:
            return False
        if names:
            log.warning("keys of another type removed", keys=names)
        return bool(names)

    def _gone(self, store: str, error: Exception) -> None:
        """Say once that a store is away, not at every tick."""
        if store not in self._away:
            self._away.add(store)
            log.warning("store away", store=store, reason=type(error).__name__)

    def _back(self, store: str) -> None:
        if store in self._away:
            self._away.discard(store)
            log.warning("store back", store=store)

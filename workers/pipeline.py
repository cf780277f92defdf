"""Carry an import along: fetch, then render and record; and a group, which is listed. Read `Pipeline.steps`
first, then `run`.

What happens when a worker dies: its claim was written, with `deliveries` raised, before the risky work
began. Nobody renews the lease any more, so within its 15 seconds the sweeper takes the claim back and
dispatches it again; another worker claims with a higher fence and does the stage anew. Bytes are stored under
names made of their content and the image's id is made of the import's, so doing it twice changes nothing,
and whatever the first worker may still write names an old fence and matches nothing. The fifth claim in a
row that nobody ended fails the import as `worker_killed`. What decodes is a child of the worker: where that
one dies, the worker lives on and no delivery is lost.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime

import structlog
from pymongo.errors import PyMongoError

from common.crashpoints import reached
from common.documents.claims import Claim, LostClaimError, UnheardClaimError
from common.documents.database import Document, insist
from common.documents.groups import EXPAND, Groups
from common.documents.images import Images, image_id_of
from common.documents.imports import FETCH, RENDER, Imports
from common.documents.organizations import Organizations
from common.queue import tallies
from common.queue.dispatch import Dispatcher, NoDispatcher
from workers import retries
from workers.failures import Failure, Interrupted, Permanent, Throttled, Transient
from workers.gates import Gates
from workers.leases import Leases
from workers.redis_away import quietly
from workers.stages.fetch import Original
from workers.stages.record import image_entry
from workers.stages.render import Rendered
from workers.steps import Step, of_document

log = structlog.get_logger(__name__)

# Outcomes of a fetch that show that Salesforce serves the organization, even where it refuses this record.
SERVED = ("done", "failed", "second look", "tried")
NEXT_DUE_SECONDS = 5.0  # within so long the sweeper looks at what was asked for and not begun
STORE_SECONDS = 5.0  # a store that cannot serve is asked again after about so long
SECOND_LOOK_SECONDS = 5.0
YOUNG_SECONDS = 60.0
NOT_DISPATCHED = "not dispatched; the sweeper does it"
READ_PATIENCE_SECONDS = 5.0
WRITE_PATIENCE_SECONDS = 15.0  # about a lease: beyond it somebody else has the import


class Pipeline:
    """The way of imports and groups through this process.

    `fetch`, `render` and `expand` do the work and raise Failures. `claims_unread` says whether the server finds one
    document by its id and changes it in one step as quickly as in two.
    """

    def __init__(  # noqa: PLR0913 - everything that has an effect is handed in
        self,
        *,
        imports: Imports,
        groups: Groups,
        images: Images,
        organizations: Organizations,
        dispatcher: Dispatcher | NoDispatcher,
        leases: Leases,
        gates: Gates,
        fetch: Callable[[Document, Document, threading.Event], Original],
        render: Callable[[Document, Document, threading.Event], Rendered],
        expand: Callable[[Claim, Document, threading.Event], int],
        clock: Callable[[], datetime],
        owner: str,
        lease_seconds: float,
        max_attempts: int,
        claims_unread: bool = True,
        chance: random.Random | None = None,
    ) -> None:
        self._imports, self._groups, self._images = imports, groups, images
        self._organizations = organizations
        self._dispatcher, self._leases, self._gates = dispatcher, leases, gates
        self._clock, self._owner, self._lease, self._max_attempts = clock, owner, lease_seconds, max_attempts
        self._claims_unread = claims_unread
        self._chance = chance or random.Random()  # noqa: S311 - jitter, no secret
        self._is_away = False  # MongoDB, as far as the latest message knows
        self.steps = {
            step.stage.name: step
            for step in (
                Step(FETCH, imports, work=of_document(fetch), finish=self._fetched, then="render"),
                Step(RENDER, imports, work=of_document(render), finish=self._recorded, then=None),
                # Its children are due as they are written: the sweeper dispatches them, as all that is due.
                Step(EXPAND, groups, work=expand, finish=self._expanded, then=None),
            )
        }

    def run(self, stage: str, document_id: str, organization_id: str | None = None) -> None:
        """Look at one import or group, as a message asks: claim it, do the stage, say how it ended.

        Never raises for what happens to it; a message that is late, doubled or alien is left. `organization_id` is
        what the message says: true of the document, it saves reading it before it is claimed.
        """
        step = self.steps[stage]
        named = {f"{step.ledger.noun}_id": document_id}
        try:
            if organization_id is not None and self._began_at_once(step, document_id, organization_id):
                self._is_away = False
                return
            seen = insist(lambda: step.ledger.find(document_id), seconds=READ_PATIENCE_SECONDS)
            if seen is None:
                log.warning("no such document", stage=stage, **named)
                return
            with structlog.contextvars.bound_contextvars(
                organization_id=seen["organization_id"], request_id=seen["request_id"], **named
            ):
                self._look(step, seen)
        except PyMongoError as error:
            # Its due_at stands in the document: whoever sweeps after the outage asks for it again.
            if isinstance(error, UnheardClaimError):
                self._leases.owe(step.ledger, error.claim)
            # Once in an outage, whatever messages it meets: set before it is told, or threads that fail
            # together all tell it.
            known, self._is_away = self._is_away, True
            if not known:
                log.warning("documents away", stage=stage, reason=type(error).__name__, **named)
        else:
            self._is_away = False

    def _began_at_once(self, step: Step, document_id: str, organization_id: str) -> bool:
        """Claim a document whose organization may go on, and do its stage. False where one has to look first."""
        if self._leases.interrupted or not self._claims_unread:
            return False
        organization = self._organizations.find(organization_id)
        if organization is None or not self._gates.is_open(organization, step.stage):
            return False
        reached(f"{step.stage.name}.due")
        claim = step.ledger.claim_unread(
            document_id,
            organization_id=organization_id,
            stage=step.stage,
            owner=self._owner,
            now=self._clock(),
            lease=self._lease,
        )
        if claim is None:
            return False
        reached(f"{step.stage.name}.claimed")
        with structlog.contextvars.bound_contextvars(
            organization_id=organization_id,
            request_id=claim.document["request_id"],
            **{f"{step.ledger.noun}_id": document_id},
        ):
            self._carry_out(step, claim, organization)
        return True

    def _look(self, step: Step, seen: Document) -> None:
        stage, organization_id = step.stage, seen["organization_id"]
        if seen["status"] == stage.doing:
            return  # somebody holds it, and its place
        if seen["status"] != stage.before or (seen["not_before"] or self._clock()) > self._clock():
            self._finish(step, seen)  # a late or a doubled message
            return
        if self._leases.interrupted:
            # dramatiq goes on taking messages until it has noticed that it is to stop; what this process
            # claimed now, it would take into its grave, most likely what it has just given back itself.
            self._requeue(step, seen)
            return
        organization = self._organizations.find(organization_id)
        wait = self._gates.judge(organization, stage, group=step.is_of_group(seen))
        if organization is None or wait is not None:
            if wait is not None:
                step.ledger.postponed(
                    seen,
                    waiting_for=wait.waiting_for,
                    until=wait.until,
                    expected_at=wait.expected_at,
                    now=self._clock(),
                )
            if wait is not None and wait.alone:
                self._finish(step, seen)  # whoever stands behind it may go on
            else:
                self._requeue(step, seen)
            return
        reached(f"{stage.name}.due")
        claim = step.ledger.claim(seen, stage, owner=self._owner, now=self._clock(), lease=self._lease)
        if claim is not None:
            reached(f"{stage.name}.claimed")
            self._carry_out(step, replace(claim, probe=organization["gate"] is not None), organization)

    def _carry_out(self, step: Step, claim: Claim, organization: Document) -> None:
        """Do the work of a claim and end it, one way or another; one log line tells of it."""
        began = time.monotonic()
        with self._leases.hold(step.ledger, claim) as stop:
            try:
                outcome, code = self._ended(step, claim, organization, stop)
            except PyMongoError:
                self._leases.owe(step.ledger, claim)
                raise
        seconds = time.monotonic() - began
        log.info(
            "stage ended",
            stage=step.stage.name,
            outcome=outcome,
            seconds=round(seconds, 3),
            fence=claim.fence,
            **({} if code is None else {"code": code}),
        )
        with quietly(NOT_DISPATCHED):  # a Redis that says nothing is waited for once and not at each of these
            self._dispatch_on(step, claim, outcome, tallies.of_stage(step.stage.name, outcome, seconds))
        if step.stage.queue == FETCH.queue and outcome in SERVED:
            self._gates.served(organization)

    def _ended(
        self, step: Step, claim: Claim, organization: Document, stop: threading.Event
    ) -> tuple[str, str | None]:
        """Do the work and write down how it ended; return the outcome's name and the code of a failure."""
        code = None
        try:
            result = step.work(claim, organization, stop)
            reached(f"{step.stage.name}.done")
            step.finish(claim, result)
            reached(f"{step.stage.name}.ended")
            outcome = "done"
        except LostClaimError:
            outcome = "lost"
        except Failure as failure:
            outcome, code = self._settle(step, claim, failure), failure.code
        except PyMongoError:
            raise
        except Exception:
            log.exception("unexpected failure", stage=step.stage.name)
            unexpected = Transient("internal_error", "Something unexpected happened; the workers' log tells.")
            outcome, code = self._settle(step, claim, unexpected), unexpected.code
        return outcome, code

    def _dispatch_on(self, step: Step, claim: Claim, outcome: str, counters: dict[str, float]) -> None:
        """Dispatch what comes next. It is a hint: what gets lost here the sweeper dispatches, and a place that
        nobody gave free is free once its document is overdue."""
        seen, stage = claim.document, step.stage.name
        if outcome == "gated":
            self._dispatcher.requeue(*step.named(seen), seen["created_at"], counters=counters)
            return
        again = {"done": step.then, "interrupted": stage}.get(outcome)
        then = None if again is None else (again, seen["created_at"])
        self._dispatcher.finish(*step.named(seen), then=then, counters=counters)
        reached(f"{stage}.dispatched")

    # -- how a stage ends well ----------------------------------------------------------------------------

    def _fetched(self, claim: Claim, original: Original) -> None:
        self._write(
            lambda: self._imports.fetched(
                replace(claim, calls=original.calls),
                original=asdict(original),
                now=self._clock(),
                due_in=NEXT_DUE_SECONDS,
            )
        )

    def _recorded(self, claim: Claim, rendered: Rendered) -> None:
        """Write the image entry, then the end of the import: an entry never follows its import."""
        image_id, twin = self._entered(claim, rendered)
        try:
            self._write(
                lambda: self._imports.succeeded(claim, image_id=image_id, twin=twin, now=self._clock())
            )
        except LostClaimError:
            now_there = self._imports.find(claim.id)
            if now_there is not None and now_there["status"] == "canceled":
                self._withdraw(image_id)  # canceled while it was rendered, and never to be opened again
            raise

    def _expanded(self, claim: Claim, calls: int) -> None:
        self._write(lambda: self._groups.expanded(replace(claim, calls=calls), now=self._clock()))

    def _entered(self, claim: Claim, rendered: Rendered) -> tuple[str, str | None]:
        """Write the image entry. Returns its id, and that of an earlier image of the same bytes."""
        image_id = image_id_of(claim.id)
        entry = image_entry(claim.document, rendered, image_id=image_id, now=self._clock())
        self._write(lambda: self._images.record(entry))
        reached("record.entered")
        return image_id, insist(lambda: self._images.twin_of(entry), seconds=WRITE_PATIENCE_SECONDS)

    def _withdraw(self, image_id: str) -> None:
        self._images.remove(image_id)

    # -- how a stage ends badly: the three classes of workers/failures.py ---------------------------------

    def _settle(self, step: Step, claim: Claim, failure: Failure) -> str:
        """Write down a failure by its class. Returns the outcome's name for the log and the metrics."""
        claim = replace(claim, calls=failure.calls)
        try:
            match failure:
                case Interrupted():
                    self._write(lambda: step.ledger.given_back(claim, now=self._clock()))
                    return "interrupted"
                case Throttled():
                    return self._wait(step, claim, failure)
                case Transient():
                    return self._count(step, claim, failure)
                case Permanent() if failure.may_appear and self._deserves_a_second_look(claim):
                    self._park(step, claim, failure, "record", SECOND_LOOK_SECONDS)
                    return "second look"
                case _:
                    self._fail(step, claim, failure, retryable=False)
                    return "failed"
        except LostClaimError:
            return "lost"

    def _wait(self, step: Step, claim: Claim, failure: Throttled) -> str:
        jitter = self._chance.uniform(0.8, 1.2)
        if failure.scope == "store":
            self._park(step, claim, failure, failure.waiting_for, STORE_SECONDS * jitter)
            return "store away"
        if failure.scope != "organization":
            self._park(step, claim, failure, failure.waiting_for, failure.probe_after * jitter)
            return "held"
        organization_id = claim.document["organization_id"]
        self._write(lambda: self._gates.close(organization_id, failure, probe=claim.probe))
        # What holds it back may let it go sooner, and then the sweeper dispatches it.
        self._park(step, claim, failure, failure.waiting_for, NEXT_DUE_SECONDS, may_go_early=True)
        return "gated"

    def _count(self, step: Step, claim: Claim, failure: Transient) -> str:
        earlier = claim.document["stages"].get(step.stage.name, {}).get("attempts", 0)
        if earlier + 1 >= self._max_attempts:
            self._fail(step, claim, failure, retryable=True)
            return "failed"
        delay = retries.delay(earlier + 1, retry_after=failure.retry_after, chance=self._chance)
        self._write(lambda: step.ledger.tried(claim, code=failure.code, delay=delay, now=self._clock()))
        with quietly(NOT_DISPATCHED):
            self._dispatcher.delay(step.stage.name, claim.id, seconds=delay)
        return "tried"

    def _park(  # noqa: PLR0913
        self,
        step: Step,
        claim: Claim,
        failure: Failure,
        waiting_for: str,
        seconds: float,
        *,
        may_go_early: bool = False,
    ) -> None:
        self._write(
            lambda: step.ledger.waits(
                claim,
                waiting_for=waiting_for,
                code=failure.code,
                look_in=seconds,
                may_go_early=may_go_early,
                expected_at=getattr(failure, "expected_at", None),
                now=self._clock(),
            )
        )
        if not may_go_early:
            with quietly(NOT_DISPATCHED):
                self._dispatcher.delay(step.stage.name, claim.id, seconds=seconds)

    def _fail(self, step: Step, claim: Claim, failure: Failure, *, retryable: bool) -> None:
        self._write(
            lambda: step.ledger.failed(
                claim, code=failure.code, detail=failure.detail, retryable=retryable, now=self._clock()
            )
        )

    def _deserves_a_second_look(self, claim: Claim) -> bool:
        seen = claim.document
        began = seen.get("retried_at") or seen["created_at"]
        young = (self._clock() - began).total_seconds() < YOUNG_SECONDS
        return bool(young and seen["waiting_for"] != "record")

    # -- stores -----------------------------------------------------------------------------------------------

    def _write(self, change: Callable[[], None]) -> None:
        """Insist on a write that holds the fruit of the work; it is idempotent and fenced."""
        insist(change, seconds=WRITE_PATIENCE_SECONDS)

    def _finish(self, step: Step, seen: Document) -> None:
        with quietly(NOT_DISPATCHED):
            self._dispatcher.finish(*step.named(seen))

    def _requeue(self, step: Step, seen: Document) -> None:
        with quietly(NOT_DISPATCHED):
            self._dispatcher.requeue(*step.named(seen), seen["created_at"])

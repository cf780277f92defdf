"""Carry out one run: bring the product up, post, let the faults fall, wait for rest, audit."""

from __future__ import annotations

import contextlib
import random
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pymongo.errors
import redis

from common.documents.statuses import OPEN
from common.queue.jobs import QUEUES
from tests.chaos import figures, pictures, schedule
from tests.chaos.faults import KINDS, MissedError, Scene
from tests.chaos.load import Load
from tests.chaos.product import WORKERS, ChaosWorld
from tests.chaos.report import Fell, Report
from tests.chaos.timeline import Timeline

REST_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked of a run."""

    seed: int
    imports: int
    minutes: float
    faults: int
    kinds: Sequence[str]
    patience: float  # seconds for which rest is waited for after the last fault
    folder: Path


def run(order: Order, timeline: Timeline) -> Report:
    """Return the report of a run. Nothing of it runs any more then, whatever has happened."""
    report = Report(seed=order.seed, imports=order.imports, minutes=order.minutes)
    over = threading.Event()
    began = time.monotonic()
    timeline.begin()
    timeline.say(f"seed {order.seed}: starting the product in {order.folder}")
    with ChaosWorld(order.folder) as world:
        try:
            _storm(world, order, report, timeline, over)
        finally:
            over.set()
        born = world.bearing()
    report.processes_left = sorted(born & world.bearing())
    report.seconds = time.monotonic() - began
    return report


def _storm(
    world: ChaosWorld, order: Order, report: Report, timeline: Timeline, over: threading.Event
) -> None:
    things = _attached(world, order, timeline)
    planned = schedule.plan(order.seed, minutes=order.minutes, kinds=order.kinds, faults=order.faults)
    seconds = schedule.posting_seconds(order.minutes)
    load = Load(world, things, seconds=seconds, mark=f"chaos-{order.seed}", over=over)
    timeline.say(f"posting {len(things)} imports in {seconds:.0f} s, {len(planned)} faults")
    timeline.begin()
    load.start()
    settled = threading.Event()
    watching = timeline.watch(lambda: _progress(world, load, report), settled)
    try:
        healed_at = _fall(world, planned, report, timeline, load=load, over=over, seed=order.seed)
        load.join()
        timeline.say("everything is posted and healed; waiting for rest")
        _rest(world, order.patience, timeline)
    finally:
        settled.set()
        watching.join()
    _judge(world, load, report, healed_at, timeline)


def _attached(world: ChaosWorld, order: Order, timeline: Timeline) -> list[tuple[str, str]]:
    """Give every picture to the simulated Salesforce; return name and id of what is to be posted."""
    things = []
    for number in range(order.imports):
        picture = pictures.draw(order.seed, number)
        if picture.content is None:
            things.append((picture.name, picture.record_id or ""))
        else:
            things.append((picture.name, world.attach(picture.name, picture.content)))
        if number % 500 == 499:
            timeline.say(f"{number + 1} of {order.imports} pictures drawn")
    return things


def _fall(
    world: ChaosWorld,
    planned: Sequence[schedule.Planned],
    report: Report,
    timeline: Timeline,
    *,
    load: Load,
    over: threading.Event,
    seed: int,
) -> datetime:
    """Let each fault fall at its time, beside those that still last; return when the last one had healed."""
    threads = []
    healed = [datetime.now(UTC)]
    for one in planned:
        if over.wait(max(0.0, one.at - timeline.now)):
            break
        fell = Fell(one.number, one.kind, round(timeline.now, 2), load.posting)
        report.faults.append(fell)

        def strike(fell: Fell = fell) -> None:
            def hit(whom: str) -> None:
                fell.hit, fell.at_s, fell.while_posting = whom, round(timeline.now, 2), load.posting
                timeline.say(f"{fell.number:3}  {fell.kind} {whom}".rstrip())

            scene = Scene(world, random.Random(f"{seed}/{fell.number}"), over, hit)
            try:
                KINDS[fell.kind](scene)
            except MissedError:
                fell.trouble = "missed: nobody plays that role"
            except Exception as error:  # noqa: BLE001 - one fault that cannot fall must not end the run
                fell.trouble = "".join(traceback.format_exception_only(error)).strip()[:500]
            fell.healed_s = round(timeline.now, 2)
            healed.append(datetime.now(UTC))
            what = fell.trouble or f"healed after {fell.healed_s - fell.at_s:.1f} s"
            timeline.say(f"{fell.number:3}  {fell.kind}: {what}")

        thread = threading.Thread(target=strike, name=one.kind, daemon=True)
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return max(healed)


def _progress(world: ChaosWorld, load: Load, report: Report) -> str:
    posted, whole = len(world.accepted), len(load.things)
    with contextlib.suppress(pymongo.errors.PyMongoError):
        waiting = world.db.imports.count_documents({"due_at": {"$exists": True}})
        return f"{posted} of {whole} accepted, {waiting} open, {len(report.faults)} faults so far"
    return f"{posted} of {whole} accepted, {len(report.faults)} faults so far (no look at the documents now)"


def _rest(world: ChaosWorld, patience: float, timeline: Timeline) -> None:
    """Wait until every import has ended and the queues are empty; what has not by then counts as stuck.

    Rest has to last for a while: whoever was stopped and goes on now may still write.
    """
    deadline, since = time.monotonic() + patience, None
    while time.monotonic() < deadline or since is not None:
        if not _is_at_rest(world):
            since = None
        elif since is None:
            since = time.monotonic()
        elif time.monotonic() - since > REST_SECONDS:
            timeline.say("at rest")
            return
        time.sleep(0.2)
    timeline.say(f"no rest within {patience:g} s")


def _is_at_rest(world: ChaosWorld) -> bool:
    try:
        idle = not any(world.redis.exists(f"dramatiq:{queue}.msgs") for queue in QUEUES)
        return idle and world.db.imports.find_one({"status": {"$in": list(OPEN)}}) is None
    except (pymongo.errors.PyMongoError, redis.RedisError):
        return False


def _judge(world: ChaosWorld, load: Load, report: Report, healed_at: datetime, timeline: Timeline) -> None:
    timeline.say("auditing: every document, every image, every file")
    documents = {one["_id"]: one for one in world.db.imports.find({}, {"params": 0})}
    told_of = set(world.accepted)
    # Written while the answer was lost: it must be carried out like any other.
    world.accepted |= {
        import_id: document["filename"]
        for import_id, document in documents.items()
        if import_id not in told_of
    }
    report.answers, report.slowest_s = dict(load.answers), load.slowest
    report.unexpected_answers, report.given_up = load.unexpected, load.given_up
    report.unanswered_but_kept = len(world.accepted) - len(told_of)
    report.keys_are_kept = any(document.get("idempotency_key") for document in documents.values())
    report.audit = world.audit(expected=pictures.end_of)
    report.audit.reverted_states += load.reverted
    report.audit.reverted_states += [
        f"{import_id}: {status}, then {documents[import_id]['status']}"
        for import_id, status in load.seen_ended.items()
        if import_id in documents and documents[import_id]["status"] != status
    ]
    for document in documents.values():
        code, known = (document["error"] or {}).get("code"), pictures.codes_of(document["filename"])
        if document["status"] == "failed" and code not in known:
            report.wrong_codes.append(f"{document['_id']} {document['filename']}: {code}")
    kept = list(documents.values())
    report.claims = figures.claims(kept)
    report.most_lost_claims = max(map(figures.lost_claims, kept), default=0)
    report.recovery = figures.recovery(kept, healed_at=healed_at, renderers=WORKERS["render"])
    report.dead_letters = sum(int(world.redis.zcard(f"dramatiq:{queue}.XQ")) for queue in QUEUES)

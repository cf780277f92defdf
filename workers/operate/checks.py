"""Look at the stores: do they answer, and are they set so that nothing that was accepted can be lost?

Each function returns findings and never raises for a store that is away or set badly. `prepare` warns by
them, `doctor` shows them.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

import redis
from pymongo.errors import PyMongoError

from common.blobs import BlobError
from common.documents import safety
from common.documents.database import INDEXES, missing_indexes
from common.queue import safety as queue_safety
from common.queue.foreign import foreign
from common.telemetry.checks import Check
from workers.operate.inspecting import STUCK
from workers.operate.opening import Hands, where
from workers.operate.printing import Trouble

MOST_LATE = 100  # groups that are looked at
OFFSET_SECONDS = 2.0  # tokens are judged by each machine's own clock, without leeway


def mongodb(hands: Hands) -> list[Check]:
    """Look at the document store: reachable, replicated, and writing to its journal before it answers."""
    at = where(hands.settings.mongodb_url)
    try:
        hello = hands.mongodb.admin.command("hello")
    except Trouble as trouble:
        return [Check("MongoDB", "bad", str(trouble), "Correct the environment.")]
    except PyMongoError as error:
        advice = "Start it, or correct MONGODB_URL."
        return [Check("MongoDB", "bad", f"{at} does not answer ({type(error).__name__}).", advice)]
    found = [Check("MongoDB", "ok", f"{at} answers."), safety.replica_set(hello)]
    try:
        return [*found, safety.journal(hands.db)]
    except PyMongoError as error:
        advice = "Start it, or correct MONGODB_URL."
        return [*found, Check("journal", "bad", f"MongoDB went away ({type(error).__name__}).", advice)]


def indexes(hands: Hands) -> list[Check]:
    """Look for every index that the queries rely on."""
    try:
        missing = missing_indexes(hands.db)
    except PyMongoError as error:
        return [Check("indexes", "bad", f"cannot be read ({type(error).__name__}).", "Mend MongoDB first.")]
    if missing:
        return [Check("indexes", "bad", f"missing: {'; '.join(missing)}.", "Run `imports prepare`.")]
    return [Check("indexes", "ok", f"all {len(INDEXES)} are there.")]


def groups(hands: Hands) -> list[Check]:
    """Look for import groups that were due long ago: nobody lists their albums."""
    try:
        now = hands.clock()
        late = hands.groups.find_due(now=now - STUCK, limit=MOST_LATE)
    except PyMongoError as error:
        return [Check("groups", "bad", f"cannot be read ({type(error).__name__}).", "Mend MongoDB first.")]
    if not late:
        return [Check("groups", "ok", "none is overdue.")]
    seconds = (now - late[0]["due_at"]).total_seconds()
    detail = f"{len(late)} overdue, group {late[0]['_id']} for {seconds:.0f} s."
    return [Check("groups", "bad", detail, "Start `sweeper` and `fetch`; then `imports repair`.")]


def redis_store(hands: Hands) -> list[Check]:
    """Look at the queue's store: reachable, kept across a restart, and never evicting."""
    at = where(hands.settings.redis_url)
    try:
        # INFO, not CONFIG: hosted servers answer the one and refuse the other.
        info: Any = hands.redis.info()
    except Trouble as trouble:
        return [Check("Redis", "bad", str(trouble), "Correct the environment.")]
    except redis.RedisError as error:
        advice = "Start it, or correct REDIS_URL; imports are accepted meanwhile and wait."
        return [Check("Redis", "bad", f"{at} does not answer ({type(error).__name__}).", advice)]
    return [
        Check("Redis", "ok", f"{at} answers."),
        queue_safety.append_only(info),
        queue_safety.eviction(info),
    ]


def dispatch(hands: Hands) -> list[Check]:
    """Look for keys of another type where what is dispatched is kept: a process that needs one gets nowhere."""
    try:
        names = foreign(hands.redis)
    except (redis.RedisError, Trouble):
        return []  # told already
    if not names:
        return [Check("dispatch", "ok", "no key is of another type.")]
    advice = "Start `sweeper`, which removes it and dispatches anew; find out who else writes to this Redis."
    return [Check("dispatch", "bad", f"of another type: {', '.join(names)}.", advice)]


def blobs(hands: Hands) -> list[Check]:
    """Write, read and remove a blob of our own."""
    scheme = hands.settings.blobs_url.partition(":")[0]
    key, body = f"doctor/probes/{uuid.uuid4()}", b"written by `imports doctor`"
    try:
        digest = hashlib.sha256(body).hexdigest()
        hands.blobs.put(key, body, size=len(body), sha256=digest, content_type="text/plain")
        same = hands.blobs.read(key) == body
        hands.blobs.delete(key)
    except (BlobError, Trouble) as error:
        return [
            Check("blobs", "bad", str(error), "Correct BLOBS_URL, make room, or give the rights to write.")
        ]
    if not same:
        return [Check("blobs", "bad", "other bytes were read than were written.", "Replace this store.")]
    if scheme == "memory":
        advice = "Use file, s3, gs, az or gridfs in production."
        return [
            Check("blobs", "warning", "kept in the memory of each process, so none sees another's.", advice)
        ]
    return [Check("blobs", "ok", f"written, read and removed ({scheme}).")]


def clock(hands: Hands) -> list[Check]:
    """Compare this machine's clock with the store's."""
    try:
        before = datetime.now(UTC)
        told: datetime = hands.mongodb.admin.command("hello")["localTime"]
        after = datetime.now(UTC)
    except PyMongoError:
        return []  # told already
    told = told.replace(tzinfo=UTC) if told.tzinfo is None else told
    offset = (before + (after - before) / 2 - told).total_seconds()
    if abs(offset) < OFFSET_SECONDS:
        return [Check("clock", "ok", f"{abs(offset):.2f} s from MongoDB's.")]
    way = "ahead of" if offset > 0 else "behind"
    advice = "Set the clocks by NTP: tokens are judged by each machine's own, without leeway."
    return [Check("clock", "warning", f"{abs(offset):.0f} s {way} MongoDB's.", advice)]

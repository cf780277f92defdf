"""A backlog that nobody has asked for: the sweeper takes it in bites, and the queue holds a handful of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pymongo
import pytest
import redis
from pymongo import monitoring

from common.documents.clock import StoreClock
from common.documents.database import database, prepare
from common.documents.groups import Groups
from common.documents.imports import Imports
from common.documents.new_imports import accepted
from common.documents.organizations import Organizations
from common.queue.broker import door_client, recover, recoverer
from common.queue.dispatch import Dispatcher, Requests
from workers.gates import Gates
from workers.sweep import BATCH, Sweeper

LIMIT, ORGANIZATIONS = 6, 20
PIECE = 2_000


class Told(monitoring.CommandListener):
    """Counts what one look costs the document store: calls, documents read, documents written."""

    def __init__(self) -> None:
        self.calls = self.read = self.written = 0

    def clear(self) -> None:
        self.calls = self.read = self.written = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.calls += 1
        self.written += len(event.command.get("updates", ()))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        cursor: dict[str, Any] = event.reply.get("cursor", {})
        self.read += len(cursor.get("firstBatch", ())) + len(cursor.get("nextBatch", ()))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        raise AssertionError(event.failure)


class Backlog:
    """Open imports of several organizations on real stores, all of them due, and sweepers."""

    def __init__(self, mongodb_url: str, redis_url: str) -> None:
        self.told = Told()
        self.mongodb: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            mongodb_url, tz_aware=True, event_listeners=[self.told]
        )
        self.db, self.redis, self.clock = database(self.mongodb), door_client(redis_url), StoreClock()
        prepare(self.db)
        self.organizations = Organizations(self.db)
        for number in range(ORGANIZATIONS):
            self.organizations.add(f"o{number}", name="o", source={}, now=self.clock())

    def fill(self, count: int) -> None:
        """Write so many open imports, accepted over the last hours."""
        now = self.clock()
        for start in range(0, count, PIECE):
            self.db.imports.insert_many(
                accepted(
                    str(uuid.uuid4()),
                    organization_id=f"o{number % ORGANIZATIONS}",
                    user_id="u",
                    params="{}",
                    import_type=None,
                    album_id=None,
                    filename=None,
                    metadatas=None,
                    source_type="salesforce",
                    record_id="00P4I00000zyw3eUAA",
                    request_id=None,
                    now=now - timedelta(seconds=10_000 * number / count + 60),
                    due_in=5,
                )
                for number in range(start, min(start + PIECE, count))
            )

    def sweeper(self) -> Sweeper:
        broker = recoverer(self.redis)
        return Sweeper(
            ledgers=(Imports(self.db), Groups(self.db)),
            organizations=self.organizations,
            dispatcher=Dispatcher(
                self.redis, Requests(per_organization=LIMIT, now=lambda: self.clock().timestamp())
            ),
            gates=Gates(self.organizations, clock=self.clock),
            redis_client=self.redis,
            recover=lambda: recover(broker),
            count=lambda _reason, _amount: None,
            clock=self.clock,
            max_deliveries=5,
            deadline=timedelta(days=7),
            lease=timedelta(seconds=15),
        )

    def look(self, sweeper: Sweeper) -> None:
        """Let a sweeper look once, and hold it to its measure."""
        self.told.clear()
        assert sweeper.tick(), "a whole batch was found, so the next look must not wait"
        assert self.told.read <= 4 * BATCH + 4 * ORGANIZATIONS
        assert self.told.written <= 2 * BATCH
        assert self.told.calls <= 400  # windows, each a cheap probe of an index; no call for each import

    def asked(self) -> list[str]:
        """Return the imports that the messages in the queue name."""
        raw: Any = self.redis.hvals("dramatiq:fetch.msgs")
        return [json.loads(one)["kwargs"]["import_id"] for one in raw]

    def at_hand(self) -> set[str]:
        """Return the imports that Redis knows of: they are dispatched, or wait in a backlog."""
        found: set[str] = set()
        dispatched: Any = self.redis.zrange("imports:dispatched:fetch", 0, -1)
        found |= {one.decode().partition("|")[2] for one in dispatched}
        for number in range(ORGANIZATIONS):
            waiting: Any = self.redis.zrange(f"imports:backlog:fetch:o{number}", 0, -1)
            found |= {one.decode() for one in waiting}
        return found

    def pushed(self) -> set[str]:
        """Return the imports that a sweeper has asked for, and so looks at again later."""
        return {one["_id"] for one in self.db.imports.find({"asks": {"$gt": 0}}, {"_id": 1})}

    def close(self) -> None:
        self.mongodb.close()
        self.redis.close()


@pytest.fixture
def backlog(mongodb_url: str, redis_url: str) -> Iterator[Backlog]:
    backlog = Backlog(mongodb_url, redis_url)
    yield backlog
    backlog.close()


@pytest.mark.parametrize(
    ("count", "looks"),
    [
        pytest.param(3_000, 2, id="3,000"),
        pytest.param(100_000, 30, id="100,000", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_a_backlog_is_taken_in_bites_and_multiplies_nothing(backlog: Backlog, count: int, looks: int) -> None:
    """Each look reads and writes a bounded number of documents; two sweepers and an emptied Redis dispatch
    no more than an organization may have dispatched, and none twice. What is pushed forward is known to Redis."""
    backlog.fill(count)
    first, second = backlog.sweeper(), backlog.sweeper()
    for number in range(looks):
        backlog.look(second if number % 3 == 2 else first)
    assert_a_handful(backlog.asked())
    assert 0 < len(backlog.pushed()) <= looks * BATCH
    assert backlog.pushed() <= backlog.at_hand()
    backlog.redis.flushdb()
    for _ in range(looks):
        backlog.look(first)
    assert_a_handful(backlog.asked())
    assert backlog.db.imports.count_documents({"status": "queued", "due_at": {"$ne": None}}) == count


def test_a_backlog_is_taken_to_its_end(backlog: Backlog) -> None:
    """Enough looks bring everything that is open to hand: nothing waits for a look that never comes."""
    count = 3_000
    backlog.fill(count)
    sweeper = backlog.sweeper()
    for _ in range(count // BATCH + 1):
        sweeper.tick()
    assert_a_handful(backlog.asked())
    assert len(backlog.at_hand()) == count


def assert_a_handful(asked: list[str]) -> None:
    assert 0 < len(asked) <= LIMIT * ORGANIZATIONS
    assert len(asked) == len(set(asked))


def test_a_backlog_that_redis_cannot_take_stays_due(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Redis away a look pushes nothing forward, so that the first one after it asks for all the same."""
    backlog.fill(1_000)
    sweeper = backlog.sweeper()

    def away(*_: Any, **__: Any) -> Any:
        raise redis.ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(Dispatcher, "enqueue", away)
        backlog.told.clear()
        assert not sweeper.tick()
        assert backlog.told.written == 0
    backlog.look(sweeper)
    assert_a_handful(backlog.asked())

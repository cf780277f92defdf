"""The sweeper on real stores: whatever went astray is asked for again, and nothing is multiplied."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis

from common.documents.claims import Stage
from common.documents.clock import StoreClock
from common.documents.database import Document, connect, database, prepare
from common.documents.groups import Groups
from common.documents.imports import FETCH, RENDER, Imports
from common.documents.new_imports import accepted
from common.documents.organizations import Organizations
from common.queue import depth, tallies
from common.queue.broker import door_client, recover, recoverer
from common.queue.dispatch import OVERDUE_SECONDS, Dispatcher, Requests
from workers.failures import Throttled
from workers.gates import Gates
from workers.sweep import Sweeper

LEASE = timedelta(seconds=15)


class World:
    """One sweeper on real stores, with a clock that a test moves."""

    def __init__(self, mongodb_url: str, redis_url: str) -> None:
        self.mongodb = connect(mongodb_url)
        self.db = database(self.mongodb)
        prepare(self.db)
        self.ahead = timedelta()
        self.set_by = timedelta()
        self.store_clock = StoreClock()
        self.redis = door_client(redis_url)
        self.broker = recoverer(self.redis)
        self.imports, self.organizations = Imports(self.db), Organizations(self.db)
        self.groups = Groups(self.db)
        self.gates = Gates(self.organizations, clock=self.clock)
        self.dispatcher = Dispatcher(
            self.redis, Requests(per_organization=2, now=lambda: self.clock().timestamp())
        )
        self.organizations.add("org", name="Org", source={}, now=self.clock())
        self.sweeper = self.another()

    def another(self) -> Sweeper:
        return Sweeper(
            ledgers=(self.imports, self.groups),
            organizations=self.organizations,
            dispatcher=self.dispatcher,
            gates=self.gates,
            redis_client=self.redis,
            recover=lambda: recover(self.broker),
            count=lambda reason, amount: tallies.count(self.redis, "swept", amount, reason=reason),
            clock=self.clock,
            max_deliveries=2,
            deadline=timedelta(days=7),
            lease=LEASE,
            monotonic=lambda: (self.clock() - self.set_by).timestamp(),
        )

    def clock(self) -> datetime:
        return self.store_clock() + self.ahead + self.set_by

    def wait(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)

    def put(self, organization_id: str = "org", **fields: Any) -> Document:
        document = accepted(
            str(uuid.uuid4()),
            organization_id=organization_id,
            user_id="user",
            params="{}",
            import_type=None,
            album_id=None,
            filename=None,
            metadatas=None,
            source_type="salesforce",
            record_id="00P4I00000zyw3eUAA",
            request_id=None,
            now=self.clock(),
            due_in=5,
        )
        self.db.imports.insert_one({**document, **fields})
        return self.get(document)

    def get(self, document: Document) -> Document:
        found = self.imports.find(document["_id"])
        assert found is not None
        return found

    def claim(self, document: Document, stage: Stage = FETCH) -> Any:
        claim = self.imports.claim(
            self.get(document), stage, owner="w", now=self.clock(), lease=LEASE.total_seconds()
        )
        assert claim is not None
        return claim

    def messages(self, queue: str = "fetch") -> int:
        return int(self.redis.llen(f"dramatiq:{queue}"))  # type: ignore[arg-type]

    def hear_all(self) -> None:
        """Take every message off the queue without answering, as a worker that dies at once."""
        self.redis.delete("dramatiq:fetch", "dramatiq:fetch.msgs", "dramatiq:render", "dramatiq:render.msgs")


@pytest.fixture
def world(mongodb_url: str, redis_url: str) -> Iterator[World]:
    world = World(mongodb_url, redis_url)
    yield world
    world.mongodb.close()
    world.redis.close()


def test_an_import_that_was_never_asked_for_is_asked_for(world: World) -> None:
    """A door that dies between the document and the doorbell delays the import by seconds (outbox)."""
    world.put()
    world.sweeper.tick()  # also the first look at this Redis, which asks for what is open
    assert world.messages() == 1


def test_a_due_import_is_asked_for_once_however_often_it_is_swept(world: World) -> None:
    """Many ticks, two sweepers and a long queue send one message for one import."""
    other = world.another()
    one = world.put()
    for _ in range(4):
        world.wait(6)
        world.sweeper.tick()
        other.tick()
    assert world.messages() == 1
    assert world.get(one)["due_at"] > world.clock()


def test_a_lost_message_is_sent_again_within_seconds(world: World) -> None:
    """A bell that vanished on the way (with a worker, a connection, a queue) is rung again."""
    world.put()
    world.sweeper.tick()
    world.hear_all()
    world.wait(OVERDUE_SECONDS + 1)
    world.sweeper.tick()
    assert world.messages() == 1


def test_a_long_queue_is_not_taken_for_lost_messages(world: World) -> None:
    """While the head of the queue is older than the bell, the bell is still behind it: no second message."""
    world.put()
    world.sweeper.tick()
    for _ in range(3):
        world.wait(OVERDUE_SECONDS + 1)
        world.sweeper.tick()
    assert world.messages() == 1


def test_an_emptied_redis_is_filled_again_at_once(world: World) -> None:
    """FLUSHALL, or a Redis that comes back empty, delays open imports by a tick and not by their due time."""
    imports = [world.put() for _ in range(5)]
    world.put(status="succeeded", due_at=None)
    world.sweeper.tick()
    for one in imports:
        world.imports.look_later([(world.get(one), world.clock() + timedelta(minutes=14))])
    world.redis.flushall()
    world.sweeper.tick()
    assert world.messages() == 2  # as many bells as the organization may have; the others wait in the room
    assert depth.depths(world.redis, now=world.clock().timestamp())[0].waiting == 5


def test_a_dead_workers_claim_is_taken_back_and_bounded(world: World) -> None:
    """A worker that dies in mid-job costs its lease; the second one that dies ends the import with a code."""
    one = world.put()
    world.claim(one)
    world.sweeper.tick()
    assert world.get(one)["status"] == "fetching"
    world.wait(16)
    world.sweeper.tick()
    assert (world.get(one)["status"], world.get(one)["deliveries"]) == ("queued", 1)
    assert world.messages() == 1
    world.claim(one)
    world.wait(16)
    world.sweeper.tick()
    ended = world.get(one)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "worker_killed")
    assert "due_at" not in ended


def test_a_renewed_lease_is_left_alone(world: World) -> None:
    """Work that takes minutes is nobody else's as long as its worker renews."""
    one = world.put()
    claim = world.claim(one)
    for _ in range(4):
        world.wait(10)
        assert world.imports.renew(claim, now=world.clock(), lease=LEASE.total_seconds())
        world.sweeper.tick()
    assert (world.get(one)["status"], world.get(one)["fence"]) == ("fetching", 1)


def test_after_an_outage_of_mongodb_nobody_judges_leases_for_one_lease(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that could not renew while MongoDB was away get one lease's time to do so."""
    one = world.put()
    claim = world.claim(one)
    with monkeypatch.context() as away:
        away.setattr(world.imports, "find_due", _raises)
        world.wait(20)
        world.sweeper.tick()
    world.sweeper.tick()
    assert world.get(one)["status"] == "fetching"
    assert world.imports.renew(claim, now=world.clock(), lease=LEASE.total_seconds())
    world.wait(16)
    world.sweeper.tick()
    assert world.get(one)["status"] == "queued"


def test_an_import_beyond_its_deadline_ends_as_expired(world: World) -> None:
    """Nothing waits for ever: after the deadline an import fails with a code, and can be retried."""
    one = world.put()
    world.wait(7 * 86_400 + 1)
    world.sweeper.tick()
    assert world.get(one)["error"]["code"] == "expired"
    assert world.imports.retried(world.get(one), stored=False, now=world.clock()) is not None
    world.sweeper.tick()
    assert world.get(one)["status"] == "queued"


def test_redis_away_changes_no_document(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Redis is away imports stay due, so that the first tick after it asks for all of them."""
    world.sweeper.tick()
    one = world.put()
    with monkeypatch.context() as away:
        away.setattr(world.dispatcher, "_script", _refuses)
        world.wait(60)
        world.sweeper.tick()
        assert world.get(one) == one
    world.sweeper.tick()
    assert world.messages() == 1


def test_a_closed_gate_lets_one_import_through_at_a_time(world: World) -> None:
    """An outage of an organization's Salesforce costs one probe per pause, and its end frees everything."""
    for _ in range(5):
        world.put()
    outage = Throttled("salesforce_unavailable", "d", waiting_for="salesforce")
    world.gates.close("org", outage)
    world.sweeper.tick()
    assert world.messages() == 0
    world.wait(5.5)
    world.sweeper.tick()
    world.sweeper.tick()
    assert world.messages() == 1
    organization = world.organizations.find("org")
    assert organization is not None
    assert world.gates.judge(organization, FETCH) is None
    assert world.gates.judge(world.organizations.find("org"), FETCH) is not None  # the next one is too early
    assert world.gates.judge(organization, RENDER) is None  # what was fetched is rendered in any case
    world.gates.served(organization)
    world.sweeper.tick()
    assert world.messages() == 2  # as many bells as it may have out


def test_a_disabled_organizations_imports_wait(world: World) -> None:
    """A disabled organization's imports are neither lost nor done; enabled again, they go on."""
    world.put()
    world.organizations.disable("org", now=world.clock())
    world.sweeper.tick()
    assert world.messages() == 0
    world.organizations.enable("org")
    world.sweeper.tick()
    assert world.messages() == 1


def test_a_backlog_is_worked_off_in_bounded_pieces(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of open imports are asked for in batches, each of them once."""
    monkeypatch.setattr("workers.sweep.BATCH", 10)
    for _ in range(35):
        world.put()
    world.wait(6)
    ticks = 1
    while world.sweeper.tick():
        ticks += 1
        assert ticks < 20
    assert depth.depths(world.redis, now=world.clock().timestamp())[0].waiting == 35
    assert ticks >= 4


def test_what_was_swept_is_counted(world: World) -> None:
    """An operator sees on the metrics page how often the sweeper had to step in."""
    world.put()
    world.wait(6)
    world.sweeper.tick()
    counted = {
        labels["reason"]: value for name, labels, value in tallies.read(world.redis) if name == "swept"
    }
    assert counted["asked"] == 1


def _raises(*_: object, **__: object) -> Any:
    from pymongo.errors import AutoReconnect

    raise AutoReconnect("away")


def _refuses(*_: object, **__: object) -> Any:
    raise redis.ConnectionError("away")


@pytest.mark.parametrize("step", [timedelta(days=2), timedelta(hours=-1)])
def test_a_store_whose_clock_was_set_costs_no_worker_its_claim(world: World, step: timedelta) -> None:
    """Workers go by the old time for up to a minute. No lease is judged until they have learnt the new one."""
    one = world.put()
    world.sweeper.tick()
    claim = world.claim(one)
    world.set_by = step
    for _ in range(30):
        world.wait(2)
        assert world.imports.renew(claim, now=world.clock() - step, lease=LEASE.total_seconds())
        world.sweeper.tick()
    assert world.imports.renew(claim, now=world.clock(), lease=LEASE.total_seconds())
    world.wait(18)  # and then it dies: a minute, a lease and a tick are over since the clock was set
    world.sweeper.tick()
    assert (world.get(one)["status"], world.get(one)["deliveries"]) == ("queued", 1)


def test_an_outage_does_not_cut_the_wait_after_a_set_clock_short(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is away just after its clock was set still leaves workers the minute to learn the new time."""
    one = world.put()
    world.sweeper.tick()
    claim = world.claim(one)
    world.set_by = timedelta(days=2)
    world.sweeper.tick()
    with monkeypatch.context() as away:
        away.setattr(world.imports, "find_due", _raises)
        world.sweeper.tick()
    world.wait(LEASE.total_seconds() + 1)
    world.sweeper.tick()
    assert world.imports.renew(claim, now=world.clock(), lease=LEASE.total_seconds())

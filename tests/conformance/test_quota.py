"""An organization keeps its calls for its business: groups stop at the reserve, all at the floor, and go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from common.queue import allowance
from common.queue.allowance import Usage
from tests.conformance.organization import KEY, World, document, in_time
from workers.credentials import Credentials
from workers.failures import Failure, Throttled
from workers.quota import FRESH_SECONDS, Allowances, Rule
from workers.sources import Source, Sources
from workers.sources.surroundings import Surroundings

RULE = Rule(reserve=0.2, floor=0.02)
ORGANIZATION = "3f2c8f0e-8a51-4f0a-9a53-0d6f0c6a7f11"


class Clock:
    """A clock that goes on by itself and can be set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Worker:
    """One worker process's view of an organization and of its allowance."""

    def __init__(self, world: World, url: str, clock: Clock) -> None:
        self.client = redis.Redis.from_url(url)
        self.allowances = Allowances(self.client, RULE, now=clock, monotonic=clock)
        self.sources = Sources(
            credentials=Credentials([KEY]),
            api_version="65.0",
            around=lambda one: Surroundings(quota=self.allowances.of(one["_id"])),
        )
        self.source: Source = self.sources.of(document(world.url))
        self.quota = self.allowances.of(ORGANIZATION)

    def fetch(self, record_id: str, *, group: bool = False) -> str:
        """Ask for a row; return what came of it."""
        try:
            self.source.visit(record_id, deadline=in_time(), group=group).describe()
        except Failure as failure:
            self.failure = failure
            return failure.code
        return "told"

    def close(self) -> None:
        self.sources.close()
        self.client.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(world: World, redis_url: str, clock: Clock) -> Iterator[Worker]:
    worker = Worker(world, redis_url, clock)
    yield worker
    worker.close()


def limits(world: World, **asked: Any) -> None:
    world.control("PUT", "limits", asked)


def used(world: World) -> int:
    return int(world.control("GET", "limits")["used"])


def test_groups_stop_at_the_reserve_and_single_imports_at_the_floor(world: World, worker: Worker) -> None:
    """With 100 calls a day a group leaves 20 and a single import 2; the calls stop there and nothing fails."""
    record_id = world.add()
    limits(world, daily=100, used=70)
    ends = [worker.fetch(record_id, group=True) for _ in range(20)]
    assert (ends.count("told"), ends[-1]) == (10, "salesforce_quota")
    assert used(world) == 80
    assert isinstance(worker.failure, Throttled)
    assert (worker.failure.scope, worker.failure.waiting_for) == ("import", "salesforce_quota")
    ends = [worker.fetch(record_id) for _ in range(30)]
    assert (ends.count("told"), ends[-1]) == (18, "salesforce_quota")
    assert used(world) == 98
    assert (worker.failure.scope, worker.failure.probe_after, worker.failure.probe_cap) == (
        "organization",
        60,
        900,
    )


def test_what_one_worker_saw_holds_back_another(world: World, worker: Worker, redis_url: str) -> None:
    """A worker that has made no call yet knows what the others were told."""
    record_id = world.add()
    limits(world, daily=100, used=85)
    assert worker.fetch(record_id) == "told"
    other = Worker(world, redis_url, Clock())
    assert other.fetch(record_id, group=True) == "salesforce_quota"
    assert used(world) == 86
    other.close()


def test_numbers_that_forbid_something_are_told_at_once(world: World, worker: Worker) -> None:
    """However quickly calls follow one another, the last word before the calls stop is what everybody knows."""
    record_id = world.add()
    limits(world, daily=100, used=75)
    for _ in range(30):
        worker.fetch(record_id)
    usage = allowance.read(worker.client, ORGANIZATION, now=time.time())
    assert usage is not None
    assert (usage.used, usage.left) == (98, 2)


def test_old_numbers_are_asked_anew_by_one(
    world: World, worker: Worker, redis_url: str, clock: Clock
) -> None:
    """When calls have come free, one call tells so, and everything goes on; while they have not, one a minute."""
    record_id = world.add()
    limits(world, daily=100, used=90)
    assert worker.fetch(record_id) == "told"
    assert worker.fetch(record_id, group=True) == "salesforce_quota"
    clock.ahead = FRESH_SECONDS + 1
    others = [Worker(world, redis_url, clock) for _ in range(3)]
    assert {other.fetch(record_id, group=True) for other in others} == {"salesforce_quota"}
    assert world.server.api.calls["limits"] == 1
    worker.client.delete(f"imports:quota:{ORGANIZATION}:look")  # a minute has passed for Redis too
    clock.ahead *= 2
    limits(world, used=0)
    assert {other.fetch(record_id, group=True) for other in others} == {"told"}
    assert world.server.api.calls["limits"] == 2
    for other in others:
        other.close()


def test_the_present_numbers_are_asked_for_ever_more_rarely(worker: Worker) -> None:
    """While asking is of no use the pause doubles, up to a quarter of an hour; calls that came free end that."""
    pauses = []
    for _ in range(7):
        assert allowance.may_look(worker.client, "org", first=55, cap=900)
        assert not allowance.may_look(worker.client, "org", first=55, cap=900)
        pauses.append(round(int(worker.client.pttl("imports:quota:org:look")) / 1000))  # type: ignore[arg-type]
        worker.client.delete("imports:quota:org:look")
    assert pauses == [55, 110, 220, 440, 880, 900, 900]
    allowance.found(worker.client, "org")
    assert allowance.may_look(worker.client, "org", first=55, cap=900)
    assert round(int(worker.client.pttl("imports:quota:org:look")) / 1000) == 55  # type: ignore[arg-type]


def test_nobody_tries_between_two_looks(world: World, worker: Worker, clock: Clock) -> None:
    """Old numbers forbid as long as somebody has asked of late: ten thousand children cost no claim meanwhile."""
    record_id = world.add()
    limits(world, daily=100, used=90)
    assert worker.fetch(record_id) == "told"
    assert worker.quota.pauses(group=True) is not None
    clock.ahead = FRESH_SECONDS + 1
    assert worker.quota.pauses(group=True) is None
    assert worker.fetch(record_id, group=True) == "salesforce_quota"
    clock.ahead *= 2
    assert worker.quota.pauses(group=True) is not None


def test_a_user_that_may_not_read_the_limits_is_told_them_all_the_same(
    world: World, worker: Worker, clock: Clock
) -> None:
    """The limits need a permission; where it is missing the refusal's own header says enough."""
    record_id = world.add()
    world.control("PUT", "permissions", {"denied": ["limits"]})
    limits(world, daily=100, used=90)
    assert worker.fetch(record_id) == "told"
    clock.ahead = FRESH_SECONDS + 1
    limits(world, used=10)
    assert worker.fetch(record_id, group=True) == "told"
    assert world.server.api.calls["limits"] == 1


def test_without_redis_a_process_goes_by_what_it_saw(world: World) -> None:
    """Redis away, the reserve still holds for what this process was told."""
    record_id = world.add()
    limits(world, daily=100, used=85)
    alone = Worker(world, "redis://127.0.0.1:1/0", Clock())
    assert alone.fetch(record_id, group=True) == "told"  # nothing is known before the first answer
    assert alone.fetch(record_id, group=True) == "salesforce_quota"
    assert alone.fetch(record_id) == "told"
    alone.close()


def test_who_uses_the_calls_is_known(world: World, worker: Worker, clock: Clock) -> None:
    """Our own calls are told from those of others."""
    record_id = world.add()
    limits(world, daily=1000, used=500)
    for _ in range(4):
        clock.ahead += 2
        assert worker.fetch(record_id) == "told"
    usage = allowance.read(worker.client, ORGANIZATION, now=time.time())
    assert usage is not None
    assert (usage.used, usage.limit, usage.ours) == (504, 1000, 4)
    assert list(allowance.read_all(worker.client, now=time.time())) == [ORGANIZATION]


@pytest.mark.parametrize(
    ("left", "hours", "expected"),
    [
        (30, (), 1000.0),  # enough already
        (10, ((0, 5), (1, 20)), 26 * 3600.0),  # as the calls of hour 1 come free
        (10, ((0, 50),), 25 * 3600.0),
        (10, ((0, 5),), 1000.0 + 24 * 3600),  # the others' calls: a day at the latest
    ],
)
def test_when_calls_come_free(left: int, hours: tuple[tuple[int, int], ...], expected: float) -> None:
    """Calls of ours come free a day after they were made; of the others' nobody knows more than that."""
    usage = Usage(used=100 - left, limit=100, at=1000.0, hours=hours)
    assert usage.frees(21, now=1000.0) == expected


def test_a_wait_says_until_when(world: World, worker: Worker) -> None:
    """An import that waits for calls is told when it should go on."""
    record_id = world.add()
    limits(world, daily=100, used=99)
    worker.fetch(record_id)
    assert worker.fetch(record_id) == "salesforce_quota"
    assert isinstance(worker.failure, Throttled)
    assert worker.failure.expected_at is not None
    assert 0 < (worker.failure.expected_at - datetime.now(UTC)).total_seconds() <= 25 * 3600


def test_a_limit_that_others_have_used_up_says_until_when_too(world: World, worker: Worker) -> None:
    """Where Salesforce itself refuses, before we were told of it, the wait is told all the same."""
    record_id = world.add()
    assert worker.fetch(record_id) == "told"
    limits(world, daily=100, used=100)
    assert worker.fetch(record_id) == "salesforce_quota"
    assert isinstance(worker.failure, Throttled)
    assert worker.failure.expected_at is not None
    assert world.server.api.calls["over"] == 1
    assert worker.fetch(record_id) == "salesforce_quota"
    assert world.server.api.calls["over"] == 1  # nobody asks again at once


def test_forged_numbers_are_bounded(world: World, worker: Worker) -> None:
    """A header that makes no sense changes nothing."""
    record_id = world.add()
    for header in ("api-usage=x/100", "api-usage=5/0", "api-usage=-1/5", "per-app-api-usage=1/2", "é"):
        world.spoil("status", status=404, headers={"Sforce-Limit-Info": header}, path="/sobjects/")
        worker.fetch(record_id)
        assert worker.quota.usage() is None

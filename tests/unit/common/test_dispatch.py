"""Dispatching shares the queue between organizations, and loses nothing that the sweeper could not find again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from common.queue.broker import producer
from common.queue.depth import depths
from common.queue.dispatch import AHEAD, FRESH_SECONDS, OVERDUE_SECONDS, Dispatcher, Requests
from common.queue.jobs import STAGES, message, template
from tests.unit.common.conftest import START, Clock, many

FETCHES, RENDERS, THREADS = 6, 3, 12  # the defaults


@pytest.fixture
def dispatcher(client: redis.Redis, clock: Clock) -> Dispatcher:
    return Dispatcher(client, Requests(per_organization=2, now=clock))


@pytest.fixture
def usual(client: redis.Redis, clock: Clock) -> Dispatcher:
    """Return one with the limits that are the default."""
    requests = Requests(per_organization=FETCHES, renders_per_organization=RENDERS, now=clock)
    return Dispatcher(client, requests)


def in_queue(client: redis.Redis, queue: str = "fetch") -> list[str]:
    """Return the documents that the messages of a queue name, in their order."""
    ids: Any = client.lrange(f"dramatiq:{queue}", 0, -1)
    raw = [client.hget(f"dramatiq:{queue}.msgs", one) for one in ids]
    return [next(iter(json.loads(one)["kwargs"].values())) for one in raw]  # type: ignore[arg-type]


def dispatched(client: redis.Redis, stage: str, organization: str) -> list[str]:
    """Return what an organization has dispatched."""
    entries: Any = client.zrange(f"imports:dispatched:{stage}", 0, -1)
    named = [entry.decode().split("|") for entry in entries]
    return sorted(document for owner, document in named if owner == organization)


def finish_all(client: redis.Redis, dispatcher: Dispatcher, stage: str, organization: str) -> None:
    for one in dispatched(client, stage, organization):
        dispatcher.finish(stage, organization, one)


def test_an_organization_has_at_most_its_limit_dispatched(
    client: redis.Redis, dispatcher: Dispatcher
) -> None:
    """Ten thousand imports of one organization put no more than its share in front of another's one."""
    dispatcher.enqueue("fetch", "big", many(50))
    dispatcher.enqueue("fetch", "small", many(1, "s"))
    assert in_queue(client) == ["i0", "i1", "s0"]
    assert depths(client, now=0)[0].waiting == 51


def test_enqueueing_again_multiplies_nothing(client: redis.Redis, dispatcher: Dispatcher) -> None:
    """A sweeper that enqueues the same imports over and over sends no further message."""
    for _ in range(5):
        dispatcher.enqueue("fetch", "org", many(10))
    assert len(in_queue(client)) == 2
    assert depths(client, now=0)[0].waiting == 10


def test_the_oldest_that_waits_follows_a_finished_one(client: redis.Redis, dispatcher: Dispatcher) -> None:
    """Imports of an organization are dispatched in the order of their acceptance, as others finish."""
    dispatcher.enqueue("fetch", "org", reversed(many(5)))
    assert dispatched(client, "fetch", "org") == ["i0", "i1"]
    dispatcher.finish("fetch", "org", "i0")
    assert dispatched(client, "fetch", "org") == ["i1", "i2"]
    for name in ("i1", "i2", "i3", "i4"):
        dispatcher.finish("fetch", "org", name)
    assert dispatcher.organizations("fetch") == []
    left = {name.decode() for name in client.keys("imports:*")}  # type: ignore[union-attr]
    assert left == {"imports:turn", "imports:recent"}


def test_a_requeued_import_waits_and_its_organization_is_not_served(
    client: redis.Redis, dispatcher: Dispatcher
) -> None:
    """While an organization cannot be served its imports wait in their backlog and cost nothing."""
    dispatcher.enqueue("fetch", "org", many(4))
    for name, accepted in many(4):
        dispatcher.requeue("fetch", "org", name, accepted)
    assert len(in_queue(client)) == 2  # the two messages that were there are left to be looked at
    assert dispatched(client, "fetch", "org") == []
    assert dispatcher.organizations("fetch") == ["org"]
    dispatcher.resume("fetch", {"org": 1})
    assert len(dispatched(client, "fetch", "org")) == 1
    dispatcher.resume("fetch", {"org": None})
    assert len(dispatched(client, "fetch", "org")) == 2


def test_a_requeued_import_gives_its_place_to_another_organization(
    client: redis.Redis, usual: Dispatcher
) -> None:
    """A closed gate leaves no places empty that others could have."""
    usual.enqueue("render", "closed", many(50))
    usual.enqueue("render", "open", many(50, "o"))
    before = len(dispatched(client, "render", "open"))
    for name in dispatched(client, "render", "closed"):
        usual.requeue("render", "closed", name, START)
    assert len(dispatched(client, "render", "open")) == RENDERS > before
    assert dispatched(client, "render", "closed") == []


def test_what_nobody_begins_is_overdue(client: redis.Redis, dispatcher: Dispatcher, clock: Clock) -> None:
    """A message that vanished with a worker is noticed within seconds; one that waits is told from it."""
    dispatcher.enqueue("fetch", "org", many(2))
    assert dispatcher.overdue("fetch", limit=10) == []
    clock.now += OVERDUE_SECONDS + 0.1
    found = dispatcher.overdue("fetch", limit=10)
    assert [(one.organization_id, one.document_id, one.waits) for one in found] == [
        ("org", "i0", True),
        ("org", "i1", True),
    ]
    client.delete("dramatiq:fetch")
    assert [one.waits for one in dispatcher.overdue("fetch", limit=10)] == [False, False]
    dispatcher.redeliver("fetch", "org", "i0", seconds=30)
    assert in_queue(client) == ["i0"]
    assert [one.document_id for one in dispatcher.overdue("fetch", limit=10)] == ["i1"]
    client.hdel("dramatiq:fetch.msgs", *client.hkeys("dramatiq:fetch.msgs"))  # type: ignore[misc]
    assert [one.waits for one in dispatcher.overdue("fetch", limit=10)] == [False]


def test_an_extended_one_is_not_overdue_and_a_finished_one_not_extended(
    client: redis.Redis, dispatcher: Dispatcher
) -> None:
    """Work that takes long keeps its place; once finished, a late renewal does not bring it back."""
    dispatcher.enqueue("fetch", "org", many(1))
    dispatcher.extend("fetch", "org", "i0", seconds=100)
    dispatcher.finish("fetch", "org", "i0")
    dispatcher.extend("fetch", "org", "i0", seconds=100)
    assert client.exists("imports:dispatched:fetch") == 0


def test_an_emptied_redis_is_noticed(client: redis.Redis, dispatcher: Dispatcher) -> None:
    """The epoch key tells an emptied or replaced Redis from one that merely restarted."""
    assert dispatcher.epoch("first") == "first"
    assert dispatcher.epoch("second") == "first"
    client.flushall()
    assert dispatcher.epoch("third") == "third"


def test_depth_counts_the_backlog_and_the_delayed(
    client: redis.Redis, dispatcher: Dispatcher, clock: Clock
) -> None:
    """A dashboard sees all that is still to be done, wherever it waits."""
    clock.now = datetime.now(UTC).timestamp()
    dispatcher.enqueue("fetch", "org", many(3))
    dispatcher.delay("fetch", "i9", seconds=60)
    fetch, render = depths(client, now=clock.now)
    assert (fetch.queue, fetch.waiting, fetch.in_flight, fetch.delayed, fetch.dead, fetch.depth) == (
        "fetch",
        3,
        0,
        1,
        0,
        4,
    )
    assert render.depth == 0


@pytest.mark.parametrize("stage", STAGES)
def test_a_message_is_what_dramatiq_itself_would_have_written(
    client: redis.Redis, dispatcher: Dispatcher, stage: str, clock: Clock
) -> None:
    """The script's messages differ from those of dramatiq's own enqueue in nothing but their ids and times."""
    job = STAGES[stage]
    dispatcher.enqueue(stage, "org", many(1))
    key = f"dramatiq:{job.queue}"
    (ours,) = client.hvals(f"{key}.msgs")  # type: ignore[misc]
    client.delete(key, f"{key}.msgs")
    producer(client).enqueue(message(job("i0", "org")))  # type: ignore[call-arg]
    (theirs,) = client.hvals(f"{key}.msgs")  # type: ignore[misc]
    mine, its = json.loads(ours), json.loads(theirs)
    assert mine["message_timestamp"] == int(clock.now * 1000)
    assert mine["options"].keys() == its["options"].keys()
    differing = ("message_id", "message_timestamp", "options")
    assert {k: v for k, v in mine.items() if k not in differing} == {
        k: v for k, v in its.items() if k not in differing
    }
    assert "%s" in template(job)


class InHand:
    """A message that a worker's thread works on."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        self.message: Mapping[str, Any] | None = message
        self.told = 0
        self.taken: bytes | None = None

    def current(self) -> Mapping[str, Any] | None:
        return self.message

    def acknowledged(self, taken: bytes | None) -> None:
        self.told += 1
        self.taken = taken


def test_the_end_of_a_stage_is_one_round_trip(
    client: redis.Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acknowledge, take the next one, enqueue the next stage, count: all of it happens, in one step."""
    acks = "dramatiq:__acks__.worker.fetch"
    in_hand = InHand({"id": "m1", "queue": "dramatiq:fetch", "acks": acks})
    dispatcher = Dispatcher(client, Requests(per_organization=2, now=clock), message=in_hand)
    dispatcher.enqueue("fetch", "org", many(3))
    client.sadd(acks, "m1")
    client.hset("dramatiq:fetch.msgs", "m1", "{}")
    sent: list[Any] = []
    execute = client.execute_command
    monkeypatch.setattr(client, "execute_command", lambda *a, **k: (sent.append(a[0]), execute(*a, **k))[1])
    dispatcher.finish("fetch", "org", "i0", then=("render", START), counters={"stage_sum|a=b": 0.5, "n": 1})
    assert sent == ["EVALSHA"]
    assert client.exists(acks) == 0
    assert not client.hexists("dramatiq:fetch.msgs", "m1")
    assert (in_hand.told, in_hand.taken) == (1, None)
    assert dispatched(client, "fetch", "org") == ["i1", "i2"]
    assert in_queue(client, "render") == ["i0"]
    assert client.hgetall("imports:tallies") == {b"stage_sum|a=b": b"0.5", b"n": b"1"}


def test_the_end_of_a_stage_takes_the_next_message_along(client: redis.Redis, clock: Clock) -> None:
    """A worker that is busy asks Redis once for each job: what it takes along is its own to acknowledge."""
    acks = "dramatiq:__acks__.worker.fetch"
    in_hand = InHand({"id": "m1", "queue": "dramatiq:fetch", "acks": acks, "take": True})
    dispatcher = Dispatcher(client, Requests(per_organization=1, now=clock), message=in_hand)
    dispatcher.enqueue("fetch", "org", many(2))
    client.delete("dramatiq:fetch", "dramatiq:fetch.msgs")
    dispatcher.finish("fetch", "org", "i0")
    assert in_hand.taken is not None
    taken = json.loads(in_hand.taken)
    assert taken["kwargs"] == {"import_id": "i1", "organization_id": "org"}
    assert client.smembers(acks) == {taken["options"]["redis_message_id"].encode()}
    assert client.exists("dramatiq:fetch") == 0
    dispatcher.finish("fetch", "org", "i1")
    assert in_hand.taken is None


def test_what_is_not_acknowledged_is_left_to_dramatiq(client: redis.Redis, clock: Clock) -> None:
    """Where Redis could not be asked, the message is still dramatiq's to acknowledge."""
    in_hand = InHand({"id": "m1", "queue": "dramatiq:fetch", "acks": "dramatiq:__acks__.worker.fetch"})
    dispatcher = Dispatcher(client, Requests(per_organization=2, now=clock), message=in_hand)
    client.set("imports:dispatched:fetch", "of another type")
    with pytest.raises(redis.RedisError):
        dispatcher.finish("fetch", "org", "i0")
    assert in_hand.told == 0


def test_a_foreign_number_stops_nobody(client: redis.Redis, dispatcher: Dispatcher) -> None:
    """What somebody else wrote where counts are is no reason to dispatch no more; it is counted anew."""
    for nonsense in ("abc", "9" * 400, "nan", "-inf"):
        client.set("imports:turn", nonsense)
        client.hset("imports:active:fetch", "org", nonsense)
        client.hset("imports:tallies", "n", "abc")
        dispatcher.enqueue("fetch", "org", many(3))
        dispatcher.resume("fetch", {"org": None})
        assert dispatched(client, "fetch", "org") == ["i0", "i1"]
        dispatcher.finish("fetch", "org", "i0", counters={"n": 1, "m": 1})
        assert dispatched(client, "fetch", "org") == ["i1", "i2"]
        client.flushall()


def test_a_count_that_went_wrong_heals(client: redis.Redis, dispatcher: Dispatcher) -> None:
    """Places that nobody is in are found by the next look, and given to those that wait."""
    client.hset("imports:active:fetch", "org", 2)
    dispatcher.enqueue("fetch", "org", many(3))
    assert dispatched(client, "fetch", "org") == []
    dispatcher.resume("fetch", dict.fromkeys(dispatcher.organizations("fetch")))
    assert dispatched(client, "fetch", "org") == ["i0", "i1"]


def test_an_id_that_is_none_breaks_no_message(client: redis.Redis, dispatcher: Dispatcher) -> None:
    """What somebody else put into a backlog is passed over, and what stands behind it is dispatched."""
    client.zadd("imports:backlog:fetch:org", {'"}': 0, b"\xff": 0, "%d": 0})
    dispatcher.enqueue("fetch", "org", many(1))
    assert in_queue(client) == ["i0"]
    assert dispatcher.organizations("fetch") == []


def test_two_with_thousands_come_to_equal_parts(client: redis.Redis, usual: Dispatcher) -> None:
    """The first to come gives way as its fetches end; all that one alone may have stays in use."""
    usual.enqueue("fetch", "first", many(500))
    usual.enqueue("fetch", "second", many(500, "s"))
    assert (len(dispatched(client, "fetch", "first")), len(dispatched(client, "fetch", "second"))) == (
        FETCHES,
        1,
    )
    for _ in range(3):
        finish_all(client, usual, "fetch", "first")
        finish_all(client, usual, "fetch", "second")
    had = sorted(len(dispatched(client, "fetch", name)) for name in ("first", "second"))
    assert had == [3, 4]


def test_backlogs_are_served_round_robin(client: redis.Redis, usual: Dispatcher) -> None:
    """Of three with thousands each, none is served twice before the others were served once."""
    names = ("a", "b", "c")
    for name in names:
        usual.enqueue("fetch", name, many(100, name))
    client.delete("dramatiq:fetch")
    for _ in range(20):
        for name in names:
            for one in dispatched(client, "fetch", name)[:1]:
                usual.finish("fetch", name, one)
    order = [one[0] for one in in_queue(client)]
    for start in range(len(order) - 30, len(order) - 3):
        assert len(set(order[start : start + 4])) == 3


def test_stuck_organizations_leave_threads_for_one_that_is_served(
    client: redis.Redis, usual: Dispatcher, clock: Clock
) -> None:
    """Six that hang hold less than all fetch threads, whatever they have waiting; a seventh is dispatched."""
    for number in range(6):
        usual.enqueue("fetch", f"stuck{number}", many(50))
        clock.now += FRESH_SECONDS + 1  # none of them is one that comes and goes
    held = sum(len(dispatched(client, "fetch", f"stuck{number}")) for number in range(6))
    assert held == FETCHES + 6 - 1
    assert held < THREADS
    usual.enqueue("fetch", "served", many(5, "s"))
    for number in range(5):
        assert dispatched(client, "fetch", "served") == [f"s{number}"]
        usual.finish("fetch", "served", f"s{number}")


def test_a_closed_gate_lets_nothing_out(client: redis.Redis, usual: Dispatcher) -> None:
    """What the gate allows is an upper bound, for an organization that has nothing dispatched as well."""
    usual.enqueue("fetch", "closed", many(3), limit=0)
    usual.enqueue("fetch", "other", many(1, "o"))
    usual.resume("fetch", {"closed": 0})
    assert dispatched(client, "fetch", "closed") == []
    usual.resume("fetch", {"closed": 1})
    assert len(dispatched(client, "fetch", "closed")) == 1


def test_no_more_is_fetched_than_is_going_to_be_rendered_soon(client: redis.Redis, usual: Dispatcher) -> None:
    """Where renders are what takes time, fetches do not run thousands ahead and take the stores from others."""
    usual.enqueue("render", "big", many(RENDERS + RENDERS * AHEAD))
    usual.enqueue("fetch", "big", many(50, "f"))
    assert dispatched(client, "fetch", "big") == []
    assert "big" in usual.organizations("fetch")
    usual.finish("render", "big", "i0")
    assert dispatched(client, "fetch", "big") == ["f0"], "a render that ends lets fetches begin again"
    usual.finish("fetch", "big", "f0")
    assert len(dispatched(client, "fetch", "big")) == FETCHES


def test_a_render_process_is_kept_free_beside_a_single_import(client: redis.Redis, usual: Dispatcher) -> None:
    """A fetch of another organization's single import makes room for the render that will follow it."""
    usual.enqueue("render", "big", many(50))
    assert len(dispatched(client, "render", "big")) == RENDERS, (
        "alone it has all processes, and one more waiting"
    )
    usual.enqueue("fetch", "single", many(1, "s"))
    finish_all(client, usual, "render", "big")
    assert len(dispatched(client, "render", "big")) == 1
    usual.finish("fetch", "single", "s0")
    finish_all(client, usual, "render", "big")
    assert len(dispatched(client, "render", "big")) == RENDERS, "it has all again when the other one has gone"


def test_fetches_of_the_many_are_fewer_while_a_single_import_renders(
    client: redis.Redis, usual: Dispatcher
) -> None:
    """All workers share the stores; beside another's import they are asked for less."""
    usual.enqueue("fetch", "big", many(50))
    usual.enqueue("render", "single", many(1, "s"))
    finish_all(client, usual, "fetch", "big")
    assert len(dispatched(client, "fetch", "big")) == FETCHES // 3


def test_one_that_hangs_holds_nobody_back(client: redis.Redis, usual: Dispatcher, clock: Clock) -> None:
    """A fetch that takes minutes leaves the others all that they may have."""
    usual.enqueue("fetch", "stuck", many(1, "s"))
    clock.now += FRESH_SECONDS + 1
    usual.enqueue("render", "big", many(50))
    assert len(dispatched(client, "render", "big")) == RENDERS

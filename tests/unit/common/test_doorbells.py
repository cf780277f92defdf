"""Doorbells share the queue between organizations and lose nothing that the sweeper could not find again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import redis

from common.queue.broker import producer
from common.queue.depth import depths, head_sent_at
from common.queue.doorbells import BELL_SECONDS, Doorbells
from tests.unit.common.conftest import Clock, many


@pytest.fixture
def bells(client: redis.Redis, clock: Clock) -> Doorbells:
    return Doorbells(client, producer(client), per_organization=2, now=clock)


def waiting_in_queue(client: redis.Redis) -> int:
    return int(client.llen("dramatiq:fetch"))  # type: ignore[arg-type]


def test_an_organization_has_at_most_so_many_bells_out(client: redis.Redis, bells: Doorbells) -> None:
    """Ten thousand imports of one organization put no more than its share in front of another's one."""
    bells.ask("fetch", "big", many(50))
    bells.ask("fetch", "small", many(1, "s"))
    assert waiting_in_queue(client) == 3
    assert depths(client, now=0)[0].waiting == 51


def test_asking_again_multiplies_nothing(client: redis.Redis, bells: Doorbells) -> None:
    """A sweeper that asks for the same imports over and over sends no further message."""
    for _ in range(5):
        bells.ask("fetch", "org", many(10))
    assert waiting_in_queue(client) == 2
    assert depths(client, now=0)[0].waiting == 10


def test_an_answered_bell_rings_for_the_oldest_that_waits(client: redis.Redis, bells: Doorbells) -> None:
    """Imports of an organization are rung for in the order of their acceptance, as others finish."""
    bells.ask("fetch", "org", reversed(many(5)))
    rung = [b"i0", b"i1"]
    assert sorted(client.smembers("imports:bells:fetch:org")) == rung  # type: ignore[arg-type,type-var]
    bells.answered("fetch", "org", "i0")
    assert client.smembers("imports:bells:fetch:org") == {b"i1", b"i2"}
    for name in ("i1", "i2", "i3", "i4"):
        bells.answered("fetch", "org", name)
    assert bells.organizations_waiting("fetch") == []
    assert client.exists("imports:bells:fetch", "imports:rung:fetch", "imports:room:fetch:org") == 0


def test_a_returned_import_waits_and_rings_for_nobody(client: redis.Redis, bells: Doorbells) -> None:
    """While an organization cannot be served its imports wait in their room and cost nothing."""
    bells.ask("fetch", "org", many(4))
    for name, accepted in many(4):
        bells.returned("fetch", "org", name, accepted)
    assert waiting_in_queue(client) == 2  # the two messages that were there are left to be answered
    assert bells.organizations_waiting("fetch") == ["org"]
    assert bells.fill("fetch", "org", limit=1) == 1
    assert bells.fill("fetch", "org") == 1


def test_a_bell_that_nobody_answers_counts_as_lost(bells: Doorbells, clock: Clock) -> None:
    """A message that vanished with a worker, or between two steps, is noticed within seconds."""
    bells.ask("fetch", "org", many(1))
    assert bells.lost("fetch", limit=10) == []
    clock.now += BELL_SECONDS + 0.1
    (bell,) = bells.lost("fetch", limit=10)
    assert (bell.organization_id, bell.import_id) == ("org", "i0")
    assert bell.rung_at == pytest.approx(clock.now - BELL_SECONDS - 0.1, abs=0.01)
    bells.again("fetch", "org", "i0", seconds=30)
    assert bells.lost("fetch", limit=10) == []


def test_a_held_bell_is_not_lost_and_an_answered_one_is_not_held(
    client: redis.Redis, bells: Doorbells
) -> None:
    """Work that takes long keeps its bell; once answered, a late renewal does not bring it back."""
    bells.ask("fetch", "org", many(1))
    bells.held("fetch", "org", "i0", seconds=100)
    bells.answered("fetch", "org", "i0")
    bells.held("fetch", "org", "i0", seconds=100)
    assert client.exists("imports:bells:fetch") == 0


def test_a_bell_whose_message_cannot_be_sent_is_rung_for_by_the_sweeper(
    client: redis.Redis, bells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash of Redis between taking a bell and sending its message loses nothing."""

    def gone(*_: object) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(bells._broker, "enqueue", gone)
    with pytest.raises(redis.ConnectionError):
        bells.ask("fetch", "org", many(1))
    assert [bell.import_id for bell in bells.lost("fetch", limit=10)] == ["i0"]


def test_an_emptied_redis_is_noticed(client: redis.Redis, bells: Doorbells) -> None:
    """The epoch key tells an emptied or replaced Redis from one that merely restarted."""
    assert bells.epoch("first") == "first"
    assert bells.epoch("second") == "first"
    client.flushall()
    assert bells.epoch("third") == "third"


def test_depth_counts_the_room_and_the_later_ones(
    client: redis.Redis, bells: Doorbells, clock: Clock
) -> None:
    """A dashboard sees all that is still to be done, wherever it waits."""
    clock.now = datetime.now(UTC).timestamp()
    bells.ask("fetch", "org", many(3))
    bells.later("fetch", "i9", seconds=60)
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
    assert head_sent_at(client, "fetch") == pytest.approx(clock.now, abs=5)
    assert head_sent_at(client, "render") is None

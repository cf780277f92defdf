"""What an organization has out depends on who else is there, so that nobody's work takes all workers from others."""

from __future__ import annotations

import pytest
import redis

from common.queue.broker import producer
from common.queue.doorbells import AHEAD, FRESH_SECONDS, Doorbells
from tests.unit.common.conftest import Clock, many

FETCHES, RENDERS, THREADS = 6, 3, 12  # the defaults


@pytest.fixture
def bells(client: redis.Redis, clock: Clock) -> Doorbells:
    return Doorbells(
        client, producer(client), per_organization=FETCHES, renders_per_organization=RENDERS, now=clock
    )


def out(client: redis.Redis, queue: str, organization: str) -> list[str]:
    """Return whose bells an organization has out."""
    members: set[bytes] = client.smembers(f"imports:bells:{queue}:{organization}")  # type: ignore[assignment]
    return sorted(member.decode() for member in members)


def all_out_answered(client: redis.Redis, bells: Doorbells, queue: str, organization: str) -> None:
    for one in out(client, queue, organization):
        bells.answered(queue, organization, one)


def test_a_render_process_is_kept_free_while_a_guest_is_there(client: redis.Redis, bells: Doorbells) -> None:
    """A fetch of another organization's single import makes room for the render that will follow it."""
    bells.ask("render", "big", many(50))
    assert len(out(client, "render", "big")) == RENDERS, "alone it has all processes, and one more waiting"
    bells.ask("fetch", "guest", many(1, "g"))
    all_out_answered(client, bells, "render", "big")
    assert len(out(client, "render", "big")) == 1
    bells.answered("fetch", "guest", "g0")
    all_out_answered(client, bells, "render", "big")
    assert len(out(client, "render", "big")) == RENDERS, "it has all again when the guest has gone"


def test_fetches_of_the_many_are_fewer_while_a_guest_renders(client: redis.Redis, bells: Doorbells) -> None:
    """The stores are the workers' common ground; beside a guest's import they are asked for less."""
    bells.ask("fetch", "big", many(50))
    bells.ask("render", "guest", many(1, "g"))
    all_out_answered(client, bells, "fetch", "big")
    assert len(out(client, "fetch", "big")) == FETCHES // 3


def test_a_stuck_one_is_no_guest(client: redis.Redis, bells: Doorbells, clock: Clock) -> None:
    """A fetch that hangs for minutes holds nobody else back meanwhile."""
    bells.ask("fetch", "stuck", many(1, "s"))
    clock.now += FRESH_SECONDS + 1
    bells.ask("render", "big", many(50))
    assert len(out(client, "render", "big")) == RENDERS


def test_two_with_thousands_come_to_equal_parts(client: redis.Redis, bells: Doorbells) -> None:
    """Whoever came first gives way as its fetches end; all that one alone may have out stays in use."""
    bells.ask("fetch", "first", many(500))
    bells.ask("fetch", "second", many(500, "s"))
    assert (len(out(client, "fetch", "first")), len(out(client, "fetch", "second"))) == (FETCHES, 1)
    for _ in range(3):
        all_out_answered(client, bells, "fetch", "first")
        all_out_answered(client, bells, "fetch", "second")
    had = sorted(len(out(client, "fetch", name)) for name in ("first", "second"))
    assert had == [3, 4]


def test_stuck_organizations_leave_threads_for_one_that_is_served(
    client: redis.Redis, bells: Doorbells, clock: Clock
) -> None:
    """Six that hang hold less than all fetch threads, whatever they have waiting; a seventh is rung for."""
    for number in range(6):
        bells.ask("fetch", f"stuck{number}", many(50))
        clock.now += FRESH_SECONDS + 1  # none of them is a guest of the next
    held = sum(len(out(client, "fetch", f"stuck{number}")) for number in range(6))
    assert held == FETCHES + 6 - 1
    assert held < THREADS
    bells.ask("fetch", "served", many(5, "s"))
    for number in range(5):
        assert out(client, "fetch", "served") == [f"s{number}"]
        bells.answered("fetch", "served", f"s{number}")


def test_no_more_is_fetched_than_is_going_to_be_rendered_soon(client: redis.Redis, bells: Doorbells) -> None:
    """Where renders are what takes time, fetches do not run thousands ahead and take the stores from others."""
    bells.ask("render", "big", many(RENDERS + RENDERS * AHEAD))
    bells.ask("fetch", "big", many(50, "f"))
    assert out(client, "fetch", "big") == []
    assert bells.organizations_waiting("fetch") == ["big"]
    bells.answered("render", "big", "i0")
    assert out(client, "fetch", "big") == ["f0"], "a render that ends lets fetches begin again"
    bells.answered("fetch", "big", "f0")
    assert len(out(client, "fetch", "big")) == FETCHES


def test_a_closed_gate_lets_nothing_out_whoever_is_there(client: redis.Redis, bells: Doorbells) -> None:
    """What the gate allows is an upper bound, for a first bell as well."""
    bells.ask("fetch", "closed", many(3), limit=0)
    assert out(client, "fetch", "closed") == []
    bells.ask("fetch", "closed", [], limit=1)
    assert len(out(client, "fetch", "closed")) == 1

"""An organization's daily limit is reached in mid-run: calls stop in time, nothing fails, all of it finishes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.workers.pictures import quadrants, saved
from tests.world import World

PICTURE = saved(quadrants((60, 40)), "PNG")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "world") as world:
        yield world


def test_imports_wait_for_calls_and_finish_without_an_operator(world: World) -> None:
    """At the floor the calls stop and the imports say why; once calls come free all of them succeed."""
    ids = [world.attach(f"{number}.png", PICTURE + bytes([number])) for number in range(40)]
    world.submit(ids[0], "0.png")
    world.rest()
    world.control("PUT", "limits", {"daily": 1000, "used": 960})
    for number, record_id in enumerate(ids[1:], start=1):
        world.submit(record_id, f"{number}.png")
    waiting = world.until(
        lambda: [one for one in world.accepted if world.get(one)["waiting_for"] == "salesforce_quota"]
    )
    used = world.control("GET", "limits")["used"]
    assert 960 < used <= 1000 - 20 + 12, "calls stop at the floor, bar those that were under way"
    shown = world.get(waiting[0])
    assert (shown["status"], shown["attempts"], shown["error"]) == ("queued", 0, None)
    assert shown["expected_at"] is not None
    world.control("PUT", "limits", {"used": 0})
    # The gate is probed a minute after it closed; a person would not wait longer either.
    world.rest(seconds=110)
    assert world.audit().faults() == {}
    assert all(world.get(one)["calls"] in range(2, 5) for one in world.accepted)

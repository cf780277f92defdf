"""Clocks of single processes days ahead or behind: leases and dispatches go by the store's time, and nobody notices."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import crashing, elsewhen
from tests.faults.midjob import events, in_fetch, kill, small_picture, worker_of
from tests.faults.procfiles import rewired, world_of
from tests.journey.albums import ask, fill, look
from tests.world import World

DAY = 86_400
# Tokens are judged by the door's own clock, without leeway, so its clock may be off by less than theirs last.
CLOCKS = {"web": -3_600, "fetch": 2 * DAY, "render": -3 * DAY, "sweeper": DAY}
LONGER_THAN_A_LEASE = 20.0

pytestmark = pytest.mark.slow


def command(name: str, line: str) -> str:
    """Return a line of the Procfile with its process living in another day, and able to die at a crash point."""
    if name not in CLOCKS:
        return line
    moved = crashing.command(name, line).replace("tests.faults.crashing", "tests.faults.elsewhen")
    return f"env {elsewhen.OFFSET}={CLOCKS[name]} {moved}"


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("points")
    for name in ("armed", "seen"):
        (folder / name).mkdir()
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, points: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    procfile = rewired(folder / "processes", command)
    with world_of(folder / "world", procfile, **{crashing.FOLDER: str(points)}) as world:
        yield world


def test_imports_end_as_ever(world: World) -> None:
    """Every sample becomes one image, at the first go."""
    imports = [world.submit(attachment_id, name) for name, attachment_id in world.samples().items()]
    world.rest()
    world.idle()
    assert world.audit().faults() == {}
    assert {world.document(one)["fence"] for one in imports} == {2}


def test_a_lease_ends_neither_early_nor_late(world: World) -> None:
    """A download longer than a lease keeps its claim; a dead worker's claim is taken back in its time."""
    with in_fetch(world, seconds=LONGER_THAN_A_LEASE) as import_id:
        world.until(lambda: world.document(import_id)["status"] != "fetching", seconds=60)
    assert "lease expired" not in events(world, import_id)
    with in_fetch(world) as import_id:
        kill(worker_of(world, import_id))
    world.rest(seconds=60)
    world.idle()
    assert world.audit().faults() == {}


def test_a_lost_message_is_sent_again_in_its_time(world: World) -> None:
    """A message that a worker of the day after tomorrow sent is lost on the way: soon another one is sent."""
    renders = world.workers("render")
    for pid in renders:
        os.kill(pid, signal.SIGSTOP)
    try:
        import_id = world.submit(world.attach("lost.png", small_picture(7)), "lost.png")
        world.until(lambda: world.document(import_id)["status"] == "fetched")
        world.until(lambda: world.redis.exists("dramatiq:render.msgs"))
        world.redis.delete("dramatiq:render", "dramatiq:render.msgs")
    finally:
        for pid in renders:
            os.kill(pid, signal.SIGCONT)
    world.rest([import_id], seconds=60)
    world.idle()
    assert world.audit().faults() == {}


@pytest.mark.timeout(300)
def test_a_group_waits_for_calls_no_longer_than_they_are_missing(world: World) -> None:
    """What one process was told of the day's calls is old to all others after a minute, whatever day they are in."""
    case_id, records = fill(world, 12)
    world.control("PUT", "limits", {"daily": 1000, "used": 796})
    group = ask(world, case_id)["id"]

    def held() -> bool:
        children = world.db.imports.find({"group_id": group, "status": "queued"})
        waits = [one["waiting_for"] for one in children]
        return "salesforce_quota" in waits

    world.until(held, seconds=60)
    assert look(world, group)["counts"]["failed"] == 0
    world.control("PUT", "limits", {"used": 0})
    world.until(lambda: look(world, group)["counts"]["succeeded"] == len(records), seconds=150)


def test_everybody_is_heard_of(world: World) -> None:
    """Whoever watches sees every process alive, whatever it takes the time to be."""
    shown = world.operator("/metrics").text
    alive = {line.split("{")[1] for line in shown.splitlines() if line.startswith("imports_workers_alive{")}
    for process in CLOCKS:
        assert any(f'process="{process}"' in labels for labels in alive), shown

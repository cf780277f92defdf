"""The keeper ends the world in the order in which work flows, and lets nobody hold it up."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.child import Child
from sandbox.endings import Refused, Stopped
from sandbox.keeper import DOORS_AND_WORKERS, GROUND, SWEEPER, Keeper
from sandbox.output import Output

# Says that it is up, then notes its end some time after it was asked to.
ENDING = """
import os, signal, sys, time
def told(number, frame):
    time.sleep(float(sys.argv[3]))
    with open(sys.argv[2], "a") as out:
        out.write(sys.argv[1] + "\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, told)
open(sys.argv[2] + "." + sys.argv[1], "w").close()
while True:
    time.sleep(1)
"""


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class World:
    """A keeper of small children that note in a file when they end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.recorded = folder, folder / "ended", list[Mapping[str, int]]()
        self.keeper = Keeper(Output(folder), self.recorded.append)

    def add(self, name: str, rank: int, *, seconds: float = 0.0) -> None:
        words = [sys.executable, "-c", ENDING, name, str(self.file), str(seconds)]
        self.keeper.add(Child(name, words, os.environ, self.folder, rank))
        wait_until(Path(f"{self.file}.{name}").exists)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_end_follows_the_work(world: World) -> None:
    """Doors and workers end first, then the sweeper, then the ground, however slow each of them is."""
    world.add("store", GROUND)
    world.add("sweeper", SWEEPER, seconds=0.2)
    world.add("web", DOORS_AND_WORKERS, seconds=0.4)
    groups = set(world.recorded[-1].values())
    assert set(world.recorded[-1]) == {"store", "sweeper", "web"}
    world.keeper.stop()
    assert world.file.read_text().split() == ["web", "sweeper", "store"]
    assert processes.in_groups(groups) == []


def test_second_request_ends_at_once(world: World) -> None:
    """Whoever asks again after a moment does not wait for those who take their time."""
    world.add("web", DOORS_AND_WORKERS, seconds=600)
    now = time.monotonic()
    world.keeper._asked += [now - 2]
    assert world.keeper.stopping
    assert not world.keeper.hurried
    world.keeper._asked += [now]
    assert world.keeper.hurried
    world.keeper.stop()
    assert not world.file.exists()
    assert processes.in_groups(set(world.recorded[-1].values())) == []


def test_one_keypress_is_one_request(world: World) -> None:
    """The same Ctrl-C, passed on by the terminal and by `make`, is no second request."""
    world.keeper._asked += [100.0, 100.2]
    assert not world.keeper.hurried


def test_waiting_ends_with_the_world(world: World) -> None:
    """Whoever waits for something is told at once that the world is to end."""
    assert world.keeper.until(lambda: True, what="nothing", seconds=1)
    assert not world.keeper.until(lambda: False, what="nothing", seconds=0.1)
    world.keeper._asked.append(time.monotonic())
    with pytest.raises(Stopped):
        world.keeper.until(lambda: False, what="nothing", seconds=60)


def test_missing_program_is_a_sentence(world: World) -> None:
    """A program that is not there is named, and no traceback is shown."""
    with pytest.raises(Refused, match="no-such-program cannot be started"):
        world.keeper.add(Child("web", ["no-such-program"], os.environ, world.folder, DOORS_AND_WORKERS))

"""Each fault that can befall a process or its disk, alone and again and again, while two hundred imports are posted.

The rows of MongoDB, Redis and Salesforce stand in their own files, with as many imports.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from tests.faults import crashing
from tests.faults.disks import full, read_only, small_disk_at
from tests.faults.posting import Stroke, all_succeeded, post_under
from tests.faults.procfiles import rewired, world_of
from tests.faults.test_clock import command as in_another_day
from tests.faults.test_descriptors import no_descriptor_left
from tests.faults.victims import VICTIMS, descendants, of
from tests.world import World

IMPORTS = 200
STROKES = 4
LEASE = {"LEASE_SECONDS": "8", "LEASE_RENEW_SECONDS": "2"}  # shorter than by default, to be waited for
LONGER_THAN_A_LEASE = 12.0
SHORT_OF_A_TIMEOUT = 2.0
TROUBLE_SECONDS = 5.0
ROOM = 64 << 20  # bytes for all blobs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def sent(name: str, number: signal.Signals) -> Stroke:
    """Return the stroke that sends a signal to a victim."""

    def stroke(world: World) -> None:
        for pid in of(name, world):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    return stroke


def paused(name: str, seconds: float) -> Stroke:
    """Return the stroke that lets a victim sleep."""

    def stroke(world: World) -> None:
        pids = of(name, world)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in pids:
            with suppress(ProcessLookupError):  # its parent gave it up, and it was ended
                os.kill(pid, signal.SIGCONT)

    return stroke


def blackout(world: World) -> None:
    """Kill whatever the sandbox has started."""
    for pid in descendants(world.sandbox.process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


ROWS: dict[str, Sequence[Stroke]] = {
    **{f"{name} killed": [sent(name, signal.SIGKILL)] * STROKES for name in VICTIMS},
    **{
        f"{name} asked to end": [sent(name, signal.SIGTERM)] * STROKES
        for name in ("web", "fetch master", "render master", "sweeper")
    },
    **{
        f"{name} asleep for longer than a lease": [paused(name, LONGER_THAN_A_LEASE)] * 2
        for name in ("fetch worker", "render worker", "decoding child", "sweeper")
    },
    "web asleep for a moment": [paused("web", SHORT_OF_A_TIMEOUT)] * STROKES,
    "blackout": [blackout] * STROKES,
}


@pytest.mark.parametrize("row", ROWS)
def test_two_hundred_imports_under_one_fault(tmp_path: Path, row: str) -> None:
    """Every import that was accepted ends as one image, whatever was hit, and nothing is left over."""
    with World(tmp_path / "world", environ=LEASE) as world:
        post_under(world, IMPORTS, ROWS[row])
        all_succeeded(world, IMPORTS)


def test_two_hundred_imports_under_two_sweepers(tmp_path: Path) -> None:
    """Two sweepers find the same claims of killed workers, and do no harm to each other's work."""
    procfile = rewired(tmp_path / "processes", lambda _, line: line, "sweeper2: python -m workers.sweeper")
    with world_of(tmp_path / "world", procfile, **LEASE) as world:
        post_under(world, IMPORTS, [sent("fetch worker", signal.SIGKILL)] * STROKES)
        all_succeeded(world, IMPORTS)


def test_two_hundred_imports_without_descriptors(tmp_path: Path) -> None:
    """A fetch worker that can open nothing gives back what it took, and goes on when it can."""

    def stroke(world: World) -> None:
        (pid,) = world.workers("fetch")
        with no_descriptor_left(pid):
            time.sleep(TROUBLE_SECONDS)

    with World(tmp_path / "world") as world:
        post_under(world, IMPORTS, [stroke] * STROKES)
        all_succeeded(world, IMPORTS)


@pytest.mark.parametrize("trouble", [full, read_only])
def test_two_hundred_imports_on_a_disk_in_trouble(
    tmp_path: Path, trouble: Callable[[Path], AbstractContextManager[None]]
) -> None:
    """Blobs that find no room, or may not be written, are waited for; no record names what is not there."""
    with small_disk_at(tmp_path / "disk", size=ROOM) as disk:
        blobs = disk / "blobs"
        blobs.mkdir()

        def stroke(_: World) -> None:
            with trouble(disk):
                time.sleep(TROUBLE_SECONDS)

        with World(tmp_path / "world", environ={"BLOBS_URL": blobs.as_uri()}) as world:
            post_under(world, IMPORTS, [stroke] * STROKES)
            all_succeeded(world, IMPORTS)


def test_two_hundred_imports_in_other_days(tmp_path: Path) -> None:
    """Processes whose clocks are days apart share leases, bells and waits all the same."""
    points = tmp_path / "points"
    for name in ("armed", "seen"):
        (points / name).mkdir(parents=True)
    procfile = rewired(tmp_path / "processes", in_another_day)
    with world_of(tmp_path / "world", procfile, **{crashing.FOLDER: str(points)}) as world:
        post_under(world, IMPORTS, [sent("fetch worker", signal.SIGKILL)] * STROKES)
        all_succeeded(world, IMPORTS)

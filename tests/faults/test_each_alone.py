"""Each fault that can befall a process, alone and again and again, while two hundred imports are posted.

The rows of the stores' troubles stand in their own files, with as many imports; here are those of processes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.posting import Stroke, all_succeeded, post_under
from tests.faults.procfiles import rewired, world_of
from tests.faults.victims import VICTIMS, descendants, of
from tests.world import World

IMPORTS = 200
STROKES = 4
LEASE = {"LEASE_SECONDS": "8", "LEASE_RENEW_SECONDS": "2"}  # shorter than by default, to be waited for
LONGER_THAN_A_LEASE = 12.0
SHORT_OF_A_TIMEOUT = 2.0

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

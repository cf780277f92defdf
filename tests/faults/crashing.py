"""Start a process of the product that dies at the crash point it is told: the tests' side of `common/crashpoints.py`.

CRASH_POINTS names a folder: a file `armed/POINT` kills the first process that comes to the point, once, since
it takes the file away by that. Every point that anybody comes to leaves a file `seen/POINT`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from common import crashpoints
from ingest import main as web
from workers import main as workers
from workers import sweeper

FOLDER = "CRASH_POINTS"


def command(name: str, line: str) -> str:
    """Return a line of the Procfile with its process started through this module."""
    if name == "web":
        return "python -m tests.faults.crashing web"
    if name == "sweeper":
        return "python -m tests.faults.crashing sweeper"
    return line.replace("workers.main:start", "tests.faults.crashing:start")


def start() -> None:
    """Start a worker, as `workers.main:start` does."""
    crashpoints.listener = die_if_armed
    workers.start()


def die_if_armed(point: str) -> None:
    """Leave word, and die where this point is armed."""
    folder = Path(os.environ[FOLDER])
    (folder / "seen" / point).touch()
    try:
        (folder / "armed" / point).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def run(name: str) -> int:
    """Run the web process or the sweeper and return its exit code."""
    crashpoints.listener = die_if_armed
    return {"web": web.main, "sweeper": sweeper.main}[name]()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1]))

"""Look at the machine's processes: who is alive, since when, in which group, born for which world.

A process is known by its number *and* the moment it started: numbers are used again, and a sandbox that
was killed yesterday must never end whoever has the number today. Linux tells by /proc, others by `ps`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
MARK = "IMPORTS_SANDBOX"  # environment variable by which a child, and whatever it starts, is known as ours


@dataclass(frozen=True, slots=True)
class Row:
    """One living process. Two rows are equal when they tell of the very same one, whoever is its parent now."""

    pid: int
    parent: int = field(compare=False)
    group: int = field(compare=False)
    started: str


def table() -> list[Row]:
    """List every process that is alive; one that ended and was not waited for yet is not."""
    return list(_from_proc() if (PROC / "self" / "stat").exists() else _from_ps())


def bearing(mark: str) -> list[Row]:
    """List the living processes that carry a mark in the environment they were started with.

    This finds what left its group or outlived its leader. Only Linux tells another process's environment;
    elsewhere the list is empty and groups must do.
    """
    entry = f"{MARK}={mark}".encode()
    marked = []
    for row in table() if (PROC / "self" / "environ").exists() else ():
        with contextlib.suppress(OSError):  # it ended, or it is someone else's
            if row.pid != os.getpid() and entry in (PROC / str(row.pid) / "environ").read_bytes().split(
                b"\0"
            ):
                marked.append(row)
    return marked


def in_groups(groups: Collection[int]) -> list[Row]:
    """List the living members of some process groups."""
    return [row for row in table() if row.group in groups]


def ask(rows: Collection[Row], asked: Collection[Row] = ()) -> set[Row]:
    """Ask those rows to end that no other of them has started and that were not asked before; return them.

    A master passes the request on, and a dramatiq worker that is told twice drops what it has in hand.
    """
    numbers = {row.pid for row in rows}
    tops = {row for row in rows if row.parent not in numbers and row not in asked}
    for row in tops:
        _send(row, signal.SIGTERM)
    return tops


def end(
    select: Callable[[], list[Row]], *, seconds: float, hurried: Callable[[], bool] = lambda: False
) -> None:
    """Ask whatever `select` lists to end, masters first, then whom they leave behind.

    After some seconds, or when someone hurries, what is left is killed.
    """
    asked: set[Row] = set()
    deadline = time.monotonic() + seconds
    while (rows := select()) and time.monotonic() < deadline and not hurried():
        asked |= ask(rows, asked)
        time.sleep(0.05)
    # Killed again and again, since one may have started another meanwhile. A process in the kernel's hands
    # (a hung disk) cannot be waited for; two seconds serve all others.
    deadline = time.monotonic() + 2
    while rows and time.monotonic() < deadline:
        for row in rows:
            _send(row, signal.SIGKILL)
        time.sleep(0.02)
        rows = select()


def _send(row: Row, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(row.pid, number)


def _from_proc() -> Iterator[Row]:
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name stands in parentheses and may hold anything, parentheses included.
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields and fields[0] not in "ZX":
            yield Row(int(folder.name), int(fields[1]), int(fields[2]), f"{boot}/{fields[19]}")


def _from_ps() -> Iterator[Row]:
    listed = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,pgid=,stat=,lstart="],  # noqa: S607 - wherever the system keeps it
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    )
    for line in listed.stdout.splitlines():
        pid, parent, group, state, started = line.split(None, 4)
        if not state.startswith("Z"):
            yield Row(int(pid), int(parent), int(group), started.strip())

"""Look at the processes of this machine, and wait for what they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def children_of(pid: int) -> set[int]:
    """Return the living children of a process."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            state, parent = _state(int(entry.name))
            if parent == pid and state not in (None, "Z", "X"):
                found.add(int(entry.name))
    return found


def alive(pid: int) -> bool:
    """Tell whether a process still runs: one that ended and was not waited for does not."""
    return _state(pid)[0] not in (None, "Z", "X")


def stopped(pid: int) -> bool:
    """Tell whether a process is held by SIGSTOP."""
    return _state(pid)[0] == "T"


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Tell whether something becomes true before its time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def on_each_child(server: int, strike: Callable[[int], None]) -> Iterator[list[int]]:
    """Strike every child of `server` once, as soon as it is born, for the length of the block."""
    struck: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for pid in children_of(server) - set(struck):
                struck.append(pid)
                strike(pid)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield struck
    finally:
        done.set()
        thread.join()


def _state(pid: int) -> tuple[str | None, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None, 0
    return fields[0], int(fields[1])

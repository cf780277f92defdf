"""Hold the folder against a second sandbox, and remember who was started, for the one that comes after a kill.

A sandbox killed with -9 leaves its children running. The next start on the folder ends them first: they are
found by number and time of start, and on Linux also by the mark in their environment.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from typing import TextIO

from sandbox import processes
from sandbox.endings import Refused
from sandbox.folder import Folder, write


class Registry:
    """The lock on a folder and the list of the processes that belong to it."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._lock: TextIO | None = None
        self._list = folder.path / "processes.json"

    def occupy(self) -> None:
        """Take the folder; the system gives it free when this process ends, however it ends.

        Raises Refused when another sandbox has it.
        """
        lock = (self._folder.path / "sandbox.lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise Refused(
                f"Another sandbox (process {holder}) already runs on {self._folder.path}: "
                "end it first, or choose another folder with --data."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def write(self, pids: Mapping[str, int]) -> None:
        """Write down which process is running now under which name."""
        started = {row.pid: row.started for row in processes.table()}
        listed = {name: {"pid": pid, "started": started[pid]} for name, pid in pids.items() if pid in started}
        write(self._list, json.dumps({"world": self._folder.mark, "processes": listed}, indent=2) + "\n")

    def end_orphans(self, say: Callable[[str], None], *, seconds: float = 10) -> None:
        """End whatever a killed sandbox has left on this folder; nothing else, however alike its number."""
        living = {row.pid: row.started for row in processes.table()}
        groups = {pid for pid, started in self._listed() if living.get(pid) == started}

        def left() -> list[processes.Row]:
            marked = processes.bearing(self._folder.mark)
            numbers = {row.pid for row in marked}
            return marked + [row for row in processes.in_groups(groups) if row.pid not in numbers]

        if left():
            say("ending what an earlier sandbox has left running on this folder")
            processes.end(left, seconds=seconds)
        self._list.unlink(missing_ok=True)

    def release(self) -> None:
        """Forget the processes, which have all ended, and give the folder free."""
        self._list.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _listed(self) -> list[tuple[int, str]]:
        """Return the number and the time of start of every child that was written down last."""
        try:
            kept = json.loads(self._list.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        if kept.get("world") != self._folder.mark:
            return []  # a copied folder brings the original's list along; those processes are not ours to end
        return [
            (int(entry["pid"]), str(entry["started"]))
            for name, entry in kept["processes"].items()
            if name != "sandbox"  # whoever started the sandbox may lead its group; and it is gone anyway
        ]

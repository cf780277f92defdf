"""Start the sandbox as a person does, and look at it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox import processes

ROOT = Path(__file__).resolve().parents[2]
STANDINS = Path(__file__).with_name("standins.py")
OURS = ("MONGODB_URL", "REDIS_URL", "BLOBS_URL", "SPOOL_DIR", "PORT", "TOKEN_SECRETS", "CREDENTIALS_KEYS")


def procfile_of_standins(folder: Path, **lines: str) -> Path:
    """Write a Procfile that has the product's process names and stand-ins behind them."""
    parts = {
        "release": "prepare",
        "web": "web",
        "fetch": "master",
        "render": "wait",
        "sweeper": "wait",
        **lines,
    }
    file = folder / "Procfile"
    file.write_text("".join(f"{name}: python {STANDINS} {part}\n" for name, part in parts.items()))
    return file


class Sandbox:
    """One `python -m sandbox`; what it says is collected, the ready line is read."""

    def __init__(
        self, *options: str | Path, environ: dict[str, str] | None = None, listen: bool = True
    ) -> None:
        kept = {name: text for name, text in os.environ.items() if name.removesuffix("_FILE") not in OURS}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", *map(str, options)],
            cwd=ROOT,
            env={**kept, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self.lines: queue.Queue[str] = queue.Queue()
        self.readers = [
            threading.Thread(target=self._collect, args=(self.process.stdout, self.lines.put)),
            threading.Thread(target=self._collect, args=(self.process.stderr, self.said.append)),
        ]
        for reader in self.readers if listen else self.readers[:1]:  # else its standard error fills up
            reader.start()

    def ready(self, seconds: float = 60) -> dict[str, Any]:
        """Return the ready line."""
        try:
            return dict(json.loads(self.lines.get(timeout=seconds)))
        except queue.Empty:
            raise AssertionError("not ready; it said:\n" + self.text) from None

    @property
    def text(self) -> str:
        """Return everything it has said to people so far."""
        return "".join(self.said)

    def end(self, number: signal.Signals = signal.SIGINT, seconds: float = 20) -> int:
        """Send a signal and return the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.outcome(seconds)

    def outcome(self, seconds: float = 60) -> int:
        """Wait for the end and return the exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("did not end; it said:\n" + self.text) from None
        # Children of a sandbox killed with -9 hold neither of its pipes, so both readers end with it.
        for reader in self.readers:
            if reader.ident is None:
                reader.start()
            reader.join(5)
        return code

    def _collect(self, stream: Any, take: Callable[[str], Any]) -> None:
        with stream:
            for line in stream:
                take(line)


def pids_of(ready: dict[str, Any]) -> set[int]:
    """Return every process number of a ready line."""
    return {
        pid for value in ready["pids"].values() for pid in (value if isinstance(value, list) else [value])
    }


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return sys.platform != "linux"


def children_of(pids: Iterable[int]) -> set[int]:
    """Return the numbers of the processes that some processes have started."""
    asked = set(pids)
    return {row.pid for row in processes.table() if row.parent in asked}


def answers(url: str) -> bool:
    """Tell whether anybody listens where a URL points."""
    split = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((split.hostname or "", split.port or 0)) == 0


def eventually(holds: Callable[[], Any], seconds: float = 15) -> Any:
    """Wait until something is true and return it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
    return found


def register(folder: Path) -> dict[str, int]:
    """Return the processes that a running sandbox has written down, by name."""
    kept = json.loads((folder / "processes.json").read_text())["processes"]
    return {name: entry["pid"] for name, entry in kept.items()}

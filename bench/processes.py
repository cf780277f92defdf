"""Start what is measured, read what it cost: processor time and memory of process trees, from /proc."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench" / ".venv" / "bin"  # the environment of the other side
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds, and megabytes resident, of some processes."""

    cpu_s: float
    rss_mb: float

    def since(self, before: Cost) -> Cost:
        """Return what was spent since an earlier reading; the memory is today's."""
        return Cost(self.cpu_s - before.cpu_s, self.rss_mb)


def cost(pids: Iterable[int]) -> Cost:
    """Return what processes and all their descendants have cost, those that have ended and were waited for too."""
    cpu, rss = 0.0, 0.0
    for pid in _with_descendants(pids):
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            cpu += sum(int(ticks) for ticks in fields[11:15]) / _TICKS
            rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Cost(cpu, rss)


def _with_descendants(pids: Iterable[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, waiting = set(), list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


@contextlib.contextmanager
def sandbox(
    folder: Path,
    *options: str,
    environ: Mapping[str, str] | None = None,
    processes: Iterable[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Run the product on embedded stores and yield its ready line; `processes` names those of the Procfile to run."""
    words = [sys.executable, "-m", "sandbox", "--port", "0", "--data", str(folder), "--no-sample", *options]
    if processes is not None:
        wanted = ("release:", *(f"{name}:" for name in processes))
        lines = (ROOT / "Procfile").read_text().splitlines(keepends=True)
        procfile = folder.with_suffix(".procfile")
        procfile.write_text("".join(line for line in lines if line.startswith(wanted)))
        words += ["--procfile", str(procfile)]
    log = folder.with_suffix(".log").open("w")
    with subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, **(environ or {})}, stdout=subprocess.PIPE, stderr=log, text=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line:
                raise SystemExit(f"the sandbox did not start; see {log.name}")
            yield json.loads(line)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            log.close()


@contextlib.contextmanager
def running(words: list[str], port: int | None, log: Path, environ: Mapping[str, str]) -> Iterator[int]:
    """Run a program until the block ends; begin when its port answers. Yields its pid."""
    with log.open("w") as out:
        process = subprocess.Popen(
            words, cwd=ROOT, env={**os.environ, **environ}, stdout=out, stderr=out, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 30
            while port is not None and not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{words[0]} did not start; see {log}")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def pids_of(ready: Mapping[str, Any], *names: str) -> list[int]:
    """Return the numbers of the named processes of a ready line."""
    found: list[int] = []
    for name in names:
        pids = ready["pids"][name]
        found += pids if isinstance(pids, list) else [pids]
    return found

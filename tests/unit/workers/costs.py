"""Render files, each in a process forked for it, and tell what each cost: `python -m tests.unit.workers.costs`.

Reads file names on standard input and prints one JSON object: name → [CPU seconds, wall seconds, peak bytes].
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from workers.decoding.confinement import keep_freed_memory
from workers.failures import Permanent
from workers.imaging.limits import Limits
from workers.imaging.reading import prepare
from workers.imaging.recipe import render


def cost(path: str) -> tuple[float, float, int]:
    """Return what one file costs a process that has decoded nothing before."""
    reader, writer = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            keep_freed_memory()
            render(Path(path).read_bytes(), limits=Limits())
        except Permanent:
            pass
        finally:
            os.write(writer, str(_peak()).encode())
            os._exit(0)
    os.close(writer)
    peak = int(os.read(reader, 100))
    os.close(reader)
    used = os.wait4(pid, 0)[2]
    return used.ru_utime + used.ru_stime, time.monotonic() - began, peak


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    prepare()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)  # libtiff says what it thinks of broken files
    sys.stdout.write(json.dumps({path: cost(path) for path in sys.stdin.read().split("\n") if path}))

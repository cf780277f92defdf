"""Take from a decoding child what it does not need, so that hostile bytes which get hold of it gain little.

Memory, processor time, files, core dumps and descriptors are bounded by the kernel. Where the system is not
Linux, or refuses one of these, the child runs without it: the limit on wall time is enforced from outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _KEPT_BLOCK_BYTES = 64 * 2**20, 16 * 2**20


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends, also while it is stopped or deep inside a decoder."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it ended before we asked


def confine() -> None:
    """Allow no core dump, no byte written to a file, and few descriptors."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 32)


def keep_freed_memory() -> None:
    """Have the allocator keep what a picture gave back for the next one.

    By its own rules it returns tens of megabytes to the kernel after each picture and has them zeroed anew for
    the next, which costs a sixth of the whole rendering. A child that holds too much is replaced anyhow.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BLOCK_BYTES)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def arm(*, memory_bytes: int, cpu_seconds: float) -> None:
    """Bound the next picture: address space, and processor time on top of what was used already."""
    _limit(resource.RLIMIT_AS, memory_bytes)
    # The kernel counts whole seconds; SIGXCPU then ends the process wherever it is.
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + cpu_seconds))


def open_statm(descriptor: int) -> None:
    """Put what tells this process how much memory it holds under a descriptor, while it may still open files."""
    with contextlib.suppress(OSError):
        statm = os.open("/proc/self/statm", os.O_RDONLY)
        os.dup2(statm, descriptor)
        os.close(statm)


def resident_bytes() -> int:
    """Return how much memory this process holds now (where that cannot be told: the most it ever held).

    Standard input is what `open_statm` has put there.
    """
    try:
        return int(os.pread(0, 256, 0).split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _limit(kind: int, soft: int) -> None:
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
        resource.setrlimit(kind, (soft, hard))

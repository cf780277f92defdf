"""Shut a decoding child in for good: no file, no network, no process, no signal, nothing of another's memory.

What decodes is large C code that reads hostile bytes; whoever gets hold of it must find nothing to do. Two layers
of the kernel say so, each by itself:

- `landlock`: no path may be opened, made, removed or renamed, no port bound or connected to.
- `seccomp`: of all system calls only those remain that computing, allocating, starting threads and talking through
  descriptors that are open already need. Any other fails with EPERM, since a decoder that tries one, and goes on
  without it, has still decoded a picture.

They bind for ever, threads included, so everything that is loaded or opened later must be there before. Numbers and
layouts: linux/landlock.h, linux/seccomp.h, linux/filter.h, and the tables of system calls of the two machines.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

LANDLOCK, SECCOMP, PRIVATE_MEMORY = "landlock", "seccomp", "private memory"
LAYERS = (PRIVATE_MEMORY, LANDLOCK, SECCOMP)

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 4, 38, 22
_SECCOMP_MODE_FILTER = 2
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF, _LANDLOCK_VERSION = 444, 446, 1
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_LOAD, _EQUALS, _HAS_BITS, _RETURN = 0x20, 0x15, 0x45, 0x06  # opcodes of the filter's machine
_NUMBER, _MACHINE, _ARGUMENTS = (
    0,
    4,
    16,
)  # where they stand in what a filter is shown; arguments have 8 bytes each
_CLONE_THREAD, _AT_EMPTY_PATH = 0x00010000, 0x1000

# Each call's number on x86_64 and on aarch64; None where that machine has no such call.
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "close": (3, 57),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "fstat": (5, 80),
    "futex": (202, 98),
    "getcpu": (309, 168),
    "getcwd": (79, 17),  # Pillow asks for it as it saves; a child stands in `/`
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "lseek": (8, 62),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "poll": (7, None),
    "ppoll": (271, 73),
    "pread64": (17, 67),
    "read": (0, 63),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "sigaltstack": (131, 132),
    "sysinfo": (99, 179),
    "time": (201, None),
    "times": (100, 153),
    "uname": (63, 160),
    "write": (1, 64),
    "writev": (20, 66),
}
# The machine's name for itself, its number in linux/audit.h, and those calls that are allowed by their arguments.
_MACHINES: dict[str, tuple[int, int, dict[str, int]]] = {
    "x86_64": (
        0,
        0xC000003E,
        {"clone": 56, "clone3": 435, "tgkill": 234, "newfstatat": 262, "prlimit64": 302},
    ),
    "aarch64": (
        1,
        0xC00000B7,
        {"clone": 220, "clone3": 435, "tgkill": 131, "newfstatat": 79, "prlimit64": 261},
    ),
}


def hide_memory() -> bool:
    """Keep this process's memory and environment from others of the same user. False where that cannot be had."""
    return sys.platform == "linux" and bool(_libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)


def available() -> set[str]:
    """Return the layers that this kernel has and allows. Tried in a child, because they cannot be taken off again."""
    if sys.platform != "linux":
        return set()
    pid = os.fork()
    if pid == 0:
        try:
            found = sum(1 << place for place, layer in enumerate(LAYERS) if _put_on(layer))
        except BaseException:  # noqa: BLE001 - whatever it is, the child must not go on as the server
            os._exit(0)
        os._exit(found)
    found = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {layer for place, layer in enumerate(LAYERS) if found > 0 and found & (1 << place)}


def lock(layers: set[str]) -> None:
    """Shut this process in with the layers that are available. Raises OSError where one of them fails after all."""
    for layer in LAYERS:
        if layer in layers and not _put_on(layer):
            raise OSError(ctypes.get_errno(), f"{layer} cannot be put on")


def _put_on(layer: str) -> bool:
    _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # what both layers demand of a process without privileges
    return {PRIVATE_MEMORY: hide_memory, LANDLOCK: _landlock, SECCOMP: _seccomp}[layer]()


def _landlock() -> bool:
    libc = _libc()
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    if version < 1:
        return False
    files = (1 << (13 if version == 1 else 14 if version == 2 else 15 if version < 5 else 16)) - 1
    ruleset = struct.pack(
        "=QQQ", files, 3, 3
    )  # then ports (bind, connect) and scopes (abstract sockets, signals)
    size = 8 if version < 4 else 16 if version < 6 else 24
    descriptor = libc.syscall(_LANDLOCK_CREATE_RULESET, ruleset, size, 0)
    if descriptor < 0:
        return False
    try:
        return bool(libc.syscall(_LANDLOCK_RESTRICT_SELF, descriptor, 0) == 0)
    finally:
        os.close(descriptor)


def _seccomp() -> bool:
    if platform.machine() not in _MACHINES:
        return False
    instructions = ctypes.create_string_buffer(program(platform.machine(), os.getpid()))
    described = struct.pack("HxxxxxxP", (len(instructions) - 1) // 8, ctypes.addressof(instructions))
    return bool(_libc().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(described), 0, 0) == 0)


def program(machine: str, pid: int) -> bytes:
    """Return the filter's program: each call is compared with those that are allowed."""
    place, audited, by_argument = _MACHINES[machine]
    # Calls by numbers of another machine (32 bits on the same processor) would have other meanings.
    steps = [
        _step(_LOAD, _MACHINE),
        _step(_EQUALS, audited, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    for numbers in _CALLS.values():
        if (number := numbers[place]) is not None:
            steps += [_step(_EQUALS, number, 0, 1), _step(_RETURN, _ALLOW)]
    # A thread, but no process; where the arguments of a newer call cannot be seen, the C library falls back.
    steps += _if_argument(by_argument["clone"], 0, _HAS_BITS, _CLONE_THREAD)
    steps += [_step(_EQUALS, by_argument["clone3"], 0, 1), _step(_RETURN, _ERROR | _ENOSYS)]
    steps += _if_argument(by_argument["tgkill"], 0, _EQUALS, pid)  # abort() signals itself
    steps += _if_argument(
        by_argument["newfstatat"], 3, _HAS_BITS, _AT_EMPTY_PATH
    )  # of a descriptor, not of a path
    steps += _if_argument(by_argument["prlimit64"], 0, _EQUALS, 0)  # its own limits
    return b"".join([*steps, _step(_RETURN, _ERROR | _EPERM)])


def _if_argument(number: int, argument: int, test: int, value: int) -> list[bytes]:
    return [
        _step(_EQUALS, number, 0, 4),
        _step(_LOAD, _ARGUMENTS + 8 * argument),
        _step(test, value, 0, 1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _ERROR | _EPERM),
    ]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)

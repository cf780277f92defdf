"""A decoding child that is in hostile hands can compute, and do nothing else."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from workers.decoding import lockdown

ROOT = Path(__file__).parents[3]
AVAILABLE = lockdown.available()
needs_both = pytest.mark.skipif(
    {lockdown.LANDLOCK, lockdown.SECCOMP} - AVAILABLE != set(), reason="this kernel has not both layers"
)
NUMBERS = {  # of calls that Python has no name for, on x86_64 and aarch64
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "pidfd_open": (434, 434),
    "perf_event_open": (298, 241),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "tgkill": (234, 131),
    "fcntl": (72, 25),
}
SCRIPT = """
import ctypes, json, os, resource, signal, socket, subprocess, sys, threading
from workers.decoding import confinement, lockdown

libc = ctypes.CDLL(None, use_errno=True)
folder, layers, numbers = sys.argv[1], set(json.loads(sys.argv[2])), json.loads(sys.argv[3])
worker, here = os.getppid(), os.open(folder, os.O_RDONLY)

def call(name, *arguments):
    if libc.syscall(numbers[name], *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def attempt():
    {attempt}

confinement.confine()
lockdown.lock(layers)
try:
    attempt()
except OSError as error:
    os.write(1, b"%d" % error.errno)
else:
    os.write(1, b"done")
"""
ATTEMPTS = {
    "read the worker's environment": "open(f'/proc/{worker}/environ', 'rb').read()",
    "read its own environment": "os.open('/proc/self/environ', os.O_RDONLY)",
    "open the worker's memory": "os.open(f'/proc/{worker}/mem', os.O_RDWR)",
    "read the worker's memory": "call('process_vm_readv', worker, None, 0, None, 0, 0)",
    "write the worker's memory": "call('process_vm_writev', worker, None, 0, None, 0, 0)",
    "trace the worker": "call('ptrace', 16, worker, 0, 0)",
    "connect by TCP": "socket.socket(socket.AF_INET).connect(('127.0.0.1', 6379))",
    "make a socket of the Internet": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "make a local socket": "socket.socket(socket.AF_UNIX)",
    "make a pair of sockets": "socket.socketpair()",
    "fork": "os.fork() or os._exit(0)",
    "start a program": "subprocess.run(['/bin/true'], close_fds=False)",
    "spawn a program": "os.posix_spawn('/bin/true', ['true'], {})",
    "become a program": "os.execv('/bin/true', ['true'])",
    "open a file": "os.open(folder + '/there', os.O_RDONLY)",
    "open a file beside an open folder": "os.open('there', os.O_RDONLY, dir_fd=here)",
    "write a file": "os.open(folder + '/there', os.O_WRONLY)",
    "make a file": "os.open(folder + '/new', os.O_CREAT | os.O_WRONLY)",
    "make a folder": "os.mkdir(folder + '/new')",
    "remove a file": "os.unlink(folder + '/there')",
    "rename a file": "os.rename(folder + '/there', folder + '/elsewhere')",
    "link a file": "os.link(folder + '/there', folder + '/linked')",
    "make a symbolic link": "os.symlink('/etc', folder + '/linked')",
    "truncate a file": "os.truncate(folder + '/there', 0)",
    "change a file's mode": "os.chmod(folder + '/there', 0)",
    "list a folder": "os.listdir(folder)",
    "look whether a file is there": "os.stat(folder + '/there')",
    "make a pipe in the file system": "os.mkfifo(folder + '/new')",
    "signal the worker": "os.kill(worker, signal.SIGTERM)",
    "ask whether the worker lives": "os.kill(worker, 0)",
    "signal all": "os.kill(-1, signal.SIGTERM)",
    "signal a thread of the worker": "call('tgkill', worker, worker, 0)",
    "open the worker as a process": "call('pidfd_open', worker, 0)",
    "have the kernel signal the worker": "call('fcntl', 2, 8, worker)",
    "change the worker's limits": "resource.prlimit(worker, resource.RLIMIT_NOFILE, (1, 1))",
    "make a file in memory": "os.memfd_create('x')",
    "make a ring of calls": "call('io_uring_setup', 8, None)",
    "load a program into the kernel": "call('bpf', 0, None, 0)",
    "use the keys of the kernel": "call('keyctl', 0, -3, 0)",
    "make a namespace": "call('unshare', 0x10000000)",
    "enter a namespace": "call('setns', here, 0)",
    "handle faults of memory": "call('userfaultfd', 0)",
    "watch the processor": "call('perf_event_open', None, 0, -1, -1, 0)",
    "open a file by its handle": "call('open_by_handle_at', here, None, 0)",
    "become somebody": "os.setuid(1)",
    "change its root": "os.chroot(folder)",
}


def run(folder: Path, attempt: str, layers: set[str]) -> subprocess.CompletedProcess[str]:
    """Shut a fresh process in as a decoding child is, and have it try something."""
    (folder / "there").write_text("kept")
    numbers = {name: each[platform.machine() == "aarch64"] for name, each in NUMBERS.items()}
    words = [str(folder), json.dumps(sorted(layers)), json.dumps(numbers)]
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("{attempt}", attempt), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@needs_both
@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_what_a_child_must_not_do(tmp_path: Path, attempt: str) -> None:
    """The kernel refuses it, the child lives on, and nothing has changed outside."""
    before = sorted(path.name for path in tmp_path.iterdir())
    ended = run(tmp_path, attempt, AVAILABLE)
    assert (ended.returncode, ended.stdout) == (0, str(errno.EPERM)), ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({*before, "there"})
    assert (tmp_path / "there").read_text() == "kept"


@pytest.mark.skipif(lockdown.LANDLOCK not in AVAILABLE, reason="this kernel has no Landlock")
@pytest.mark.parametrize(
    "name", ["open a file", "write a file", "make a file", "make a folder", "remove a file", "list a folder"]
)
def test_landlock_alone_keeps_files(tmp_path: Path, name: str) -> None:
    """Where the filter of system calls were passed by, no file could be had all the same."""
    ended = run(tmp_path, ATTEMPTS[name], {lockdown.LANDLOCK})
    assert (ended.returncode, ended.stdout) == (0, str(errno.EACCES)), ended.stderr


@needs_both
@pytest.mark.parametrize(
    "attempt",
    [
        "threading.Thread(target=print).start()",
        "bytearray(64 * 2**20)",
        "os.fstat(here)",
        "os.pread(0, 10, 0) if os.isatty(0) else None",
        "resource.setrlimit(resource.RLIMIT_CPU, (5, resource.getrlimit(resource.RLIMIT_CPU)[1]))",
    ],
    ids=["start a thread", "take memory", "look at a descriptor", "read", "bound itself"],
)
def test_what_decoding_needs_is_left(tmp_path: Path, attempt: str) -> None:
    """Threads, memory and what is open already are the child's own."""
    ended = run(tmp_path, attempt, AVAILABLE)
    assert (ended.returncode, ended.stdout.strip()) == (0, "done"), ended.stderr


@needs_both
def test_a_child_can_still_abort(tmp_path: Path) -> None:
    """A library that gives up ends its process by a signal to itself, which tells a crash from a refusal."""
    assert run(tmp_path, "os.abort()", AVAILABLE).returncode == -6


@needs_both
def test_no_layer_can_be_taken_off(tmp_path: Path) -> None:
    """Neither can memory be opened to others again, nor a wider filter be laid over."""
    for attempt in ("libc.prctl(4, 1, 0, 0, 0) and os.kill(0, 0)", "lockdown.lock({'seccomp'})"):
        assert run(tmp_path, attempt, AVAILABLE).stdout != "done"


def test_the_filter_is_what_this_machine_understands() -> None:
    """Both machines have a program of the kernel's instructions, of at most as many as it takes."""
    for machine in ("x86_64", "aarch64"):
        program = lockdown.program(machine, os.getpid())
        assert len(program) % 8 == 0
        assert 50 < len(program) // 8 < 4096

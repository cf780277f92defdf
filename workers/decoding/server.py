"""Fork decoding children from a process with one thread, in which the decoders are imported already.

A worker has threads, and a fork of it could inherit a lock that nobody will ever release; a fresh interpreter
per picture would cost as much as a picture. So each worker begins this program once, by exec, and asks it
through a socket: `spawn` (with the child's channel beside it) and `reap`. When the worker is gone the socket
ends, and this process ends with all its children.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from typing import Any

from workers.decoding import child, frames, lockdown
from workers.imaging.reading import prepare


def main(descriptor: int) -> None:
    """Serve the worker that holds the other end of `descriptor`."""
    control = socket.socket(fileno=descriptor)
    # A stop of the whole machine signals every process; pictures in work are still waited for by the worker,
    # which ends this process by hanging up.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    prepare()
    lockdown.hide_memory()
    layers = lockdown.available()
    gc.freeze()  # children share these pages as long as nobody writes to them
    children: set[int] = set()
    try:
        frames.send(control, {"ready": os.getpid(), "missing": sorted(set(lockdown.LAYERS) - layers)})
        while True:
            request, descriptors = frames.receive(control)
            answer = _reap(request["pid"], children) if request["do"] == "reap" else None
            frames.send(control, answer or _spawn(control, descriptors, children, layers))
    except frames.ClosedError:
        pass
    finally:
        for pid in children:
            _end(pid)


def _spawn(
    control: socket.socket, descriptors: list[int], children: set[int], layers: set[str]
) -> dict[str, Any]:
    (channel,) = descriptors
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(channel)
        return {"error": error.strerror}
    if pid == 0:
        control.detach()  # its descriptor is closed with all others; the object must not close it again
        child.run(channel, parent=parent, layers=layers)
    os.close(channel)
    children.add(pid)
    return {"pid": pid}


def _reap(pid: int, children: set[int]) -> dict[str, Any]:
    """End a child if it has not ended, and tell how it ended. Only unreaped children are ever killed."""
    if pid not in children:
        return {"signal": None}
    children.remove(pid)
    status = _end(pid)
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None}


def _end(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)  # changes nothing about a child that is ending by itself
    return os.waitpid(pid, 0)[1]


if __name__ == "__main__":
    main(int(sys.argv[1]))

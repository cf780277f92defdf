"""Hold the fork server from the worker's side: begin it, ask it, begin another when it is gone."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

import workers
from workers.decoding import frames

log = structlog.get_logger(__name__)

_START_SECONDS = 60.0  # an interpreter and the decoders, on a machine that has just been switched on
_ANSWER_SECONDS = 10.0
_STOP_SECONDS = 2.0
# The server gets no secret of the worker: not its environment, not its descriptors.
_KEPT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "MALLOC_ARENA_MAX",
)


class ServerLostError(Exception):
    """There is no fork server: it could not be begun, or it went away before it answered."""


@dataclass(frozen=True, slots=True, eq=False)
class Child:
    """One decoding child: its channel, and the server (by number) that forked it."""

    pid: int
    channel: socket.socket
    server: int
    born: float


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended: by which signal, or that its whole server was lost with it."""

    signal: int | None
    server_lost: bool


class ForkServer:
    """One fork server at a time; any thread may ask it.

    Children are killed by their parent, which has not reaped them: a number of a process that is somebody
    else's by now is never signalled.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._number = 0
        self._stopped = self._is_told = False

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> None:
        """Begin the server and wait until it can fork. Raises ServerLostError."""
        with self._lock:
            self._stopped = False
            self._ensure()

    def stop(self) -> None:
        """End the server and all its children; nothing begins another one before `start` is called again."""
        with self._lock:
            self._stopped = True
            if self._control is not None:
                self._control.close()
            if self._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_STOP_SECONDS)
            self._clear()

    def spawn(self) -> Child:
        """Return a fresh child; a lost server is replaced once. Raises ServerLostError."""
        ours, theirs = _pair()
        with self._lock, theirs:
            try:
                pid = self._spawned([theirs.fileno()])
            except ServerLostError:
                ours.close()
                raise
            return Child(pid, ours, self._number, time.monotonic())

    def reap(self, child: Child) -> Ending:
        """End a child, if it has not ended, and tell how it did."""
        child.channel.close()
        with self._lock:
            if child.server != self._number or self._process is None:
                return Ending(None, server_lost=True)
            try:
                answer = self._ask({"do": "reap", "pid": child.pid}, [])
            except ServerLostError:
                return Ending(None, server_lost=True)
            return Ending(answer["signal"], server_lost=False)

    def _spawned(self, descriptors: Sequence[int]) -> int:
        self._ensure()
        try:
            answer = self._ask({"do": "spawn"}, descriptors)
        except ServerLostError:
            self._ensure()
            answer = self._ask({"do": "spawn"}, descriptors)
        if "pid" not in answer:
            raise ServerLostError(f"The fork server cannot fork: {answer.get('error')}.")
        return int(answer["pid"])

    def _ask(self, request: dict[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
        if self._control is None:
            raise ServerLostError("There is no fork server.")
        try:
            frames.send(self._control, request, descriptors=descriptors)
            return _answer(self._control, _ANSWER_SECONDS)
        except (frames.ClosedError, TimeoutError) as error:
            self._clear()
            raise ServerLostError("The fork server does not answer.") from error

    def _ensure(self) -> None:
        """Begin a server unless one runs. By exec, so that it has one thread whatever this process has."""
        if self._stopped:
            raise ServerLostError("The decoder was stopped.")
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._clear()
        ours, theirs = _pair()
        root = str(Path(workers.__file__).resolve().parent.parent)
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [sys.executable, "-P", "-m", "workers.decoding.server", str(theirs.fileno())],
                    env={**environment, "PYTHONPATH": root},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    process_group=0,  # Ctrl-C at a terminal is for the worker, which ends its server itself
                )
            except OSError as error:
                ours.close()
                raise ServerLostError("The fork server cannot be started.") from error
        self._control, self._number = ours, self._number + 1
        try:
            self._tell(_answer(ours, _START_SECONDS)["missing"])
        except (frames.ClosedError, TimeoutError) as error:
            self._clear()
            raise ServerLostError("The fork server ended before it was ready.") from error

    def _tell(self, missing: list[str]) -> None:
        """Say once which layers this kernel does not shut the decoders in with."""
        if not self._is_told:
            self._is_told = True
            if missing:
                log.warning("decoders less confined", missing=missing)

    def _clear(self) -> None:
        """Let go of a server that is lost or unwanted, and make sure that nothing of it runs on."""
        process, control = self._process, self._control
        self._process = self._control = None
        if control is not None:
            control.close()
        if process is not None:
            # Its number and its group are ours as long as it is not waited for, so nobody else can be hit.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _pair() -> tuple[socket.socket, socket.socket]:
    try:
        return socket.socketpair()
    except OSError as error:  # no descriptor is left: the machine's trouble, not a picture's
        raise ServerLostError("No channel can be made.") from error


def _answer(control: socket.socket, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(control, select.POLLIN)

    def ready() -> None:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError("no answer")

    return frames.receive(control, ready=ready)[0]

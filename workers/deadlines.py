"""End network work on time, whatever the other side does with its bytes.

A read timeout is no deadline: it begins anew with every byte, so dripping headers or a dripping TLS
handshake hold a thread for ever, in code that is not ours to interrupt. So connections tell which sockets
a piece of work uses, and one watchdog thread shuts them when the time is over or the worker must stop:
the blocked read then returns at once. The thread lives only while there is something to watch.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

TICK = 0.1
"""Seconds between two looks of the watchdog: how late a deadline may be kept."""


class Deadline:
    """A moment by which work must be done, and the event that ends it earlier.

    `stopping` is set when the worker must give its work back at once. `monotonic` is a clock in seconds.
    """

    def __init__(
        self,
        seconds: float,
        *,
        stopping: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stopping, self._monotonic = stopping, monotonic
        self._end = monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left, never less than zero."""
        return max(0.0, self._end - self._monotonic())

    def expired(self) -> bool:
        """Tell whether no time is left."""
        return self.remaining() <= 0

    def over(self) -> bool:
        """Tell whether work must end now, for either reason."""
        return self.stopping.is_set() or self.expired()

    def at_most(self, seconds: float) -> Deadline:
        """Return an earlier deadline for a part of the work; it ends with this one at the latest."""
        part = min(seconds, self.remaining())
        return Deadline(part, stopping=self.stopping, monotonic=self._monotonic)

    @contextlib.contextmanager
    def watched(self) -> Iterator[Watch]:
        """Have the sockets shut that this thread uses inside the block, once the deadline is over."""
        watch = Watch(self)
        token = _ON_DUTY.set(watch)
        _WATCHDOG.add(watch)
        try:
            yield watch
        finally:
            _ON_DUTY.reset(token)
            _WATCHDOG.remove(watch)
            watch.let_go()


class Watch:
    """The socket in use under one deadline; a call uses one at a time."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.reused = False  # whether the connection in use had served an earlier call
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def use(self, used: socket.socket, *, reused: bool) -> None:
        """Watch a socket in place of the last one; shut it at once if the deadline is over already."""
        # Our own descriptor of the same connection: it stays valid while the other is wrapped in TLS,
        # closed, or its number given to somebody else's file.
        own = socket.socket(fileno=os.dup(used.fileno()))
        with self._lock:
            last, self._socket, self.reused = self._socket, own, reused
        if last is not None:
            last.close()
        if self.deadline.over():
            self.shut()

    def shut(self) -> None:
        """Shut the connection in both directions; whoever reads or writes it is woken."""
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):  # the other side was faster
                    self._socket.shutdown(socket.SHUT_RDWR)

    def let_go(self) -> None:
        """Close our descriptor; the connection itself lives on in its pool."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


def on_duty() -> Watch | None:
    """Return the innermost watch of this thread, or None."""
    return _ON_DUTY.get()


class _Watchdog:
    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, watch: Watch) -> None:
        with self._lock:
            self._watches.add(watch)
            if self._thread is None or not self._thread.is_alive():  # a fork leaves threads behind
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()

    def remove(self, watch: Watch) -> None:
        with self._lock:
            self._watches.discard(watch)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._watches:
                    self._thread = None
                    return
                over = [watch for watch in self._watches if watch.deadline.over()]
            for watch in over:
                watch.shut()
            time.sleep(TICK)


_ON_DUTY: ContextVar[Watch | None] = ContextVar("on_duty", default=None)
_WATCHDOG = _Watchdog()

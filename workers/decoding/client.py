"""Render pictures in disposable children, whatever the pictures do to them.

A child is used again while it stays young and lean. One that dies, or does not end in time, is replaced and
its picture tried once more at once, because a child may also be killed by what is not its picture's fault;
the second time the picture is refused. Nobody else notices.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from workers.decoding import frames
from workers.decoding.forkserver import Child, ForkServer, ServerLostError
from workers.decoding.messages import UnbelievableError, limits_header, refusal_of, result_of, result_size
from workers.failures import Interrupted, Permanent, Throttled
from workers.imaging.limits import Limits
from workers.imaging.refusals import refusal
from workers.imaging.rendering import Rendering
from workers.imaging.variants import DEFAULT, Recipe, parse

_LOOK_SECONDS = 0.05  # how late a stop is noticed while a picture is rendered
_MOST_LOSSES = 3
_MAX_AGE_SECONDS = 900.0
_MAX_RESIDENT_BYTES = 256 * 2**20  # what a child may hold on to between two pictures


class _GoneError(Exception):
    """The child ended, or talks nonsense, before it answered."""


@dataclass(slots=True)
class _Resting:
    child: Child
    rendered: int


class Decoder:
    """Renders pictures in children of one fork server, at most `slots` at the same time.

    `start` belongs into the worker's start; `render` may be called from any thread. After `stop` nothing of
    it runs any more, and `render` raises Throttled until it is started again.
    """

    def __init__(
        self, *, limits: Limits | None = None, recipe: Recipe | None = None, slots: int = 64, reuse: int = 50
    ) -> None:
        self._limits, self._reuse = limits or Limits(), reuse
        self._recipe = recipe or parse(DEFAULT)
        self._server = ForkServer()
        self._slots = threading.BoundedSemaphore(slots)
        self._lock = threading.Lock()
        self._resting: list[_Resting] = []

    @property
    def server_pid(self) -> int | None:
        """The fork server's process id, for operators and tests."""
        return self._server.pid

    def start(self) -> None:
        """Begin the fork server. Raises Throttled if it cannot be begun."""
        try:
            self._server.start()
        except ServerLostError as error:
            raise _unavailable() from error

    def stop(self) -> None:
        """End the fork server and every child."""
        with self._lock:
            resting, self._resting = self._resting, []
        for rest in resting:
            rest.child.channel.close()
        self._server.stop()

    def render(
        self,
        original: BinaryIO,
        *,
        stopping: threading.Event,
        limits: Limits | None = None,
        recipe: Recipe | None = None,
    ) -> Rendering:
        """Render the picture in `original`, a real file whose position is neither used nor moved.

        Limits and recipe are those of this decoder unless others are given.

        Raises Permanent (the picture is refused), Interrupted (`stopping` was set; the child is gone), or
        Throttled (this machine cannot run a decoder now).
        """
        limits, recipe = limits or self._limits, recipe or self._recipe
        if original.writable():
            original.flush()
        with self._slot(stopping):
            crashes = losses = 0
            while True:
                try:
                    rest = self._take(fresh=crashes > 0)
                except ServerLostError as error:
                    raise _unavailable() from error
                try:
                    return self._attempt(rest, original, limits, recipe, stopping)
                except Permanent:
                    raise  # the child has answered and is well
                except (_GoneError, TimeoutError) as gone:
                    ending = self._server.reap(rest.child)
                    if ending.server_lost and isinstance(gone, _GoneError):
                        losses += 1  # the child died with its server: not a word about the picture
                    elif ending.signal == signal.SIGXCPU:
                        raise refusal("image_too_complex") from gone
                    else:
                        crashes += 1
                    if losses > _MOST_LOSSES:
                        raise _unavailable() from gone
                    if crashes > 1 and isinstance(gone, TimeoutError):
                        raise refusal("render_timeout", seconds=limits.seconds) from gone
                    if crashes > 1:
                        raise refusal("decoder_crashed") from gone
                except BaseException:  # also what is thrown into a thread from outside
                    self._server.reap(rest.child)
                    raise

    @contextlib.contextmanager
    def _slot(self, stopping: threading.Event) -> Iterator[None]:
        while not self._slots.acquire(timeout=_LOOK_SECONDS):
            if stopping.is_set():
                raise Interrupted
        try:
            yield
        finally:
            self._slots.release()

    def _take(self, *, fresh: bool) -> _Resting:
        """Return a child that rests, or a fresh one. What died or aged while resting is replaced unseen."""
        while not fresh:
            with self._lock:
                if not self._resting:
                    break
                rest = self._resting.pop()
            if time.monotonic() - rest.child.born < _MAX_AGE_SECONDS and _is_silent(rest.child):
                return rest
            self._server.reap(rest.child)
        return _Resting(self._server.spawn(), 0)

    def _attempt(
        self, rest: _Resting, original: BinaryIO, limits: Limits, recipe: Recipe, stopping: threading.Event
    ) -> Rendering:
        """Have one child render the picture. Raises _GoneError, TimeoutError, Interrupted, or the refusal."""
        channel, patience = rest.child.channel, _Patience(rest.child, limits.seconds, stopping)
        try:
            order = {"limits": limits_header(limits), "recipe": recipe.text}
            frames.send(channel, order, descriptors=[original.fileno()])
            header, descriptors = frames.receive(channel, ready=patience.wait)
            for descriptor in descriptors:
                os.close(descriptor)  # no child of ours sends any
            rest.rendered += 1
            if "refused" in header:
                failure = refusal_of(header["refused"])
                self._rest(rest, header, spent=failure.code == "render_memory")
                raise failure
            told = header.get("rendered")
            body = frames.receive_bytes(channel, result_size(told), ready=patience.wait)
            rendering = result_of(told if isinstance(told, dict) else {}, body, recipe=recipe)
        except (frames.ClosedError, UnbelievableError) as error:
            raise _GoneError from error
        self._rest(rest, header, spent=False)
        return rendering

    def _rest(self, rest: _Resting, header: dict[str, object], *, spent: bool) -> None:
        """Keep a child for the next picture, unless it has done or holds enough."""
        held = header.get("resident_bytes")
        lean = isinstance(held, int) and held <= _MAX_RESIDENT_BYTES
        if spent or not lean or rest.rendered >= self._reuse:
            self._server.reap(rest.child)
            return
        with self._lock:
            self._resting.append(rest)


class _Patience:
    """Waits for a child's bytes until its time is up or the worker stops."""

    def __init__(self, child: Child, seconds: float, stopping: threading.Event) -> None:
        self._poll = select.poll()
        self._poll.register(child.channel, select.POLLIN)
        self._deadline, self._stopping = time.monotonic() + seconds, stopping

    def wait(self) -> None:
        """Return when there is something to read. Raises TimeoutError or Interrupted."""
        while True:
            if self._stopping.is_set():
                raise Interrupted
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if self._poll.poll(min(left, _LOOK_SECONDS) * 1000):
                return


def _is_silent(child: Child) -> bool:
    """Tell whether a resting child has nothing to say: one that died has its end of stream."""
    poll = select.poll()
    poll.register(child.channel, select.POLLIN)
    return not poll.poll(0)


def _unavailable() -> Throttled:
    return Throttled(
        "decoder_unavailable",
        "This machine cannot run the decoder at the moment; the import waits and is tried again.",
        scope="store",
        waiting_for="decoder",
    )

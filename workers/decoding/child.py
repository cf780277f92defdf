"""Render pictures in a disposable process: one at a time, as they come through the channel, until it closes."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any, NoReturn

from workers.decoding import confinement, frames, lockdown
from workers.decoding.messages import refusal_header, result_header
from workers.failures import Permanent
from workers.imaging.limits import Limits
from workers.imaging.recipe import render
from workers.imaging.refusals import refusal
from workers.imaging.variants import Recipe, parse

_CHANNEL = 3


def run(channel: int, *, parent: int, layers: set[str]) -> NoReturn:
    """Serve the channel and exit, shut in by `layers`. Called in a freshly forked process, which keeps nothing else open."""
    status = 1
    try:
        confinement.die_with(parent)
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        _keep_only(channel)
        confinement.confine()
        confinement.keep_freed_memory()
        served = socket.socket(fileno=_CHANNEL)
        os.chdir("/")
        lockdown.lock(layers)
        _serve(served)
        status = 0
    finally:
        os._exit(status)  # never back into the code of the fork server


def _keep_only(channel: int) -> None:
    """Close what the fork server had open: above all its own channel, whose end tells that it is gone."""
    os.dup2(channel, _CHANNEL)
    os.closerange(_CHANNEL + 1, 4096)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)  # libtiff and libpng print what hostile files make them print
    os.close(nothing)
    confinement.open_statm(0)


def _serve(channel: socket.socket) -> None:
    while True:
        try:
            header, (original,) = frames.receive(channel)
        except frames.ClosedError:
            return  # nobody wants more
        answer, body = _answer(original, Limits(**header["limits"]), parse(header["recipe"]))
        try:
            frames.send(channel, answer | {"resident_bytes": confinement.resident_bytes()}, body=body)
        except frames.ClosedError:
            return


def _answer(original: int, limits: Limits, recipe: Recipe) -> tuple[dict[str, Any], bytes]:
    try:
        cpu_seconds = limits.seconds / 2 if limits.cpu_seconds is None else limits.cpu_seconds
        confinement.arm(memory_bytes=limits.memory_bytes, cpu_seconds=max(1.0, cpu_seconds))
        result, body = result_header(render(_read(original), limits=limits, recipe=recipe))
    except Permanent as failure:
        return {"refused": refusal_header(failure)}, b""
    except MemoryError:
        return {"refused": refusal_header(refusal("render_memory"))}, b""
    finally:
        os.close(original)
    return {"rendered": result}, body


def _read(original: int) -> bytes:
    """Return the whole file. Its position belongs to all who share it, so it is neither used nor moved."""
    size, parts, at = os.fstat(original).st_size, [], 0
    while at < size and (part := os.pread(original, size - at, at)):
        parts.append(part)
        at += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)

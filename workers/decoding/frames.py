"""Speak between worker, fork server and child: a length, a JSON header, then bytes; descriptors beside it.

No pickle: what a child says is as hostile as the picture that it decoded.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

_LENGTH_BYTES = 4
_MAX_HEADER_BYTES = 256 * 1024
_MAX_DESCRIPTORS = 4


class ClosedError(Exception):
    """The other side is gone, or says what nobody of ours would say."""


def send(
    channel: socket.socket, header: dict[str, Any], *, body: bytes = b"", descriptors: Sequence[int] = ()
) -> None:
    """Send one frame. Raises ClosedError if nobody listens any more."""
    text = json.dumps(header).encode()
    frame = len(text).to_bytes(_LENGTH_BYTES, "big") + text
    try:
        sent = socket.send_fds(channel, [frame], list(descriptors)) if descriptors else channel.send(frame)
        channel.sendall(frame[sent:] + body)
    except OSError as error:
        raise ClosedError(str(error)) from error


def receive(
    channel: socket.socket, *, ready: Callable[[], None] = lambda: None
) -> tuple[dict[str, Any], list[int]]:
    """Return the next header and the descriptors beside it; any of those is the caller's to close.

    `ready` is called before every read and may wait for bytes to come, or raise. Raises ClosedError.
    """
    ready()
    try:
        first, descriptors, flags, _ = socket.recv_fds(channel, _LENGTH_BYTES, _MAX_DESCRIPTORS)
    except OSError as error:
        raise ClosedError(str(error)) from error
    try:
        return _header(channel, first, ready, whole=not flags & socket.MSG_CTRUNC), descriptors
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _header(
    channel: socket.socket, first: bytes, ready: Callable[[], None], *, whole: bool
) -> dict[str, Any]:
    if not first or not whole:
        raise ClosedError("end of stream")
    length = first + receive_bytes(channel, _LENGTH_BYTES - len(first), ready=ready)
    size = int.from_bytes(length, "big")
    if size > _MAX_HEADER_BYTES:
        raise ClosedError("header too long")
    text = receive_bytes(channel, size, ready=ready)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ClosedError("header is no JSON") from error
    if not isinstance(header, dict):
        raise ClosedError("header is no object")
    return header


def receive_bytes(channel: socket.socket, size: int, *, ready: Callable[[], None] = lambda: None) -> bytes:
    """Return exactly `size` bytes. Raises ClosedError where the stream ends before."""
    parts, left = [], size
    while left:
        ready()
        try:
            part = channel.recv(min(left, 2**20))
        except OSError as error:
            raise ClosedError(str(error)) from error
        if not part:
            raise ClosedError("end of stream")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)

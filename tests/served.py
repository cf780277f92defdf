"""Serve the door on a real socket for a test, and talk to it in bytes."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from ingest import errors, headers
from ingest.main import listen
from ingest.server import Bounds, protocol
from tests.doors import Door, image

LARGE = 64 * 2**20
PATIENCE = 10.0  # no test asserts speed: this only ends one that would hang


@contextlib.contextmanager
def serve(door: Door, **bounds: Any) -> Iterator[int]:
    """Serve a door on a free port, with the bounds of a test; gives the port."""
    listener = listen("127.0.0.1", 0)
    chosen = Bounds(**{"header_seconds": 0.4, "drain_seconds": 0.4, **bounds})
    config = uvicorn.Config(
        door.app,
        http=protocol(chosen),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()


def talk(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send pieces and return all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as stranger:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                stranger.sendall(piece)
                time.sleep(pause)
        return until_closed(stranger)


def until_closed(stranger: socket.socket) -> bytes:
    """Return what comes until the end; a connection that never ends fails by its time limit."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := stranger.recv(65_536):
            received += piece
    return received


def statuses(received: bytes) -> list[int]:
    """Return the statuses of all answers on a connection."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:] if part[:3] != b"100"]


def is_whole_problem(received: bytes, code: str) -> None:
    """Check that the only answer has every header and is a problem with this code."""
    head, _, body = received.partition(b"\r\n\r\n")
    told = json.loads(body)
    phrase = errors.CODES[code].phrase
    assert head.startswith(f"HTTP/1.1 {told['status']} {phrase}\r\n".encode())
    assert (told["code"], told["title"]) == (code, errors.CODES[code].title)
    sent = dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n")[1:])
    made = headers.answer(request_id=told["request_id"], runtime=sent["X-Runtime"])
    assert {name: sent[name] for name, _ in made if name != "Content-Type"} == {
        name: value for name, value in made if name != "Content-Type"
    }
    assert sent["Content-Type"] == "application/problem+json"
    assert int(sent["Content-Length"]) == len(body)


def post(door: Door, body: bytes = b"album_id=a", *more: str, length: str | None = None) -> bytes:
    """Write an honest POST, with more headers on demand."""
    lines = [
        "POST /api/v1/imports HTTP/1.1",
        "Host: example.org",
        f'Authorization: Token token="{door.token()}"',
        "Content-Type: application/x-www-form-urlencoded",
        *([f"Content-Length: {len(body)}"] if length is None else [length] if length else []),
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def asking_for_a_file(door: Door) -> bytes:
    """Put a small original into a door's stores and return the request for it."""
    return asking_for_much(door, length=8)


def asking_for_much(door: Door, length: int = LARGE) -> bytes:
    """Put a large original into a door's stores and return the request for it."""
    entry = image("x")
    door.images.documents[entry["_id"]] = entry
    door.blobs.blobs[entry["original"]["key"]] = b"a" * length
    path = f"/api/v1/images/{entry['_id']}/original"
    token = door.token()
    return f'GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Token token="{token}"\r\n\r\n'.encode()

"""A server that sends exactly what a test says, byte by byte, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

Script = Callable[[socket.socket, str], None]
"""Answers one request, given its connection and its path."""


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Write an answer; its length is told unless a header says otherwise."""
    told = [*headers, "Content-Type: application/json"]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in told):
        told.append(f"Content-Length: {len(body)}")
    return "\r\n".join([f"HTTP/1.1 {status}", *told, "", ""]).encode() + body


class Hostile:
    """Listens on loopback; a login and a row are answered properly, the rest as the script says."""

    def __init__(self, script: Script, *, size: int | None = 5000) -> None:
        self.script, self.size = script, size
        self.requests: list[bytes] = []
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads: list[threading.Thread] = []
        self.accepting = threading.Thread(target=self._accept)
        self.accepting.start()

    def __enter__(self) -> Hostile:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.accepting.join()
        for thread in self.threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                thread.start()
                self.threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with connection, contextlib.suppress(OSError):
            while request := _read(connection):
                self.requests.append(request)
                path = request.split(b" ")[1].decode()
                if path == "/services/oauth2/token":
                    connection.sendall(
                        answer(b'{"access_token": "t", "instance_url": "%b"}' % self.url.encode())
                    )
                elif "/Body" not in path and "/sobjects/" in path and self.size is not None:
                    connection.sendall(answer(b'{"Name": "a", "BodyLength": %d}' % self.size))
                else:
                    self.script(connection, path)

    def drip(self, connection: socket.socket, endless: bytes) -> None:
        """Send the bytes again and again, a little at a time, until the other side goes or the test is over."""
        while not self.over.wait(0.02):
            connection.sendall(endless)


def _read(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        piece = connection.recv(65536)
        if not piece:
            return b""
        request += piece
    head, _, rest = request.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            missing = int(line.split(b":")[1]) - len(rest)
            while missing > 0:
                missing -= len(connection.recv(missing))
    return request

"""Serve the organization over HTTP on loopback, and do to the wire what the faults ask.

The standard library's threaded server is enough: calls are few, and a fault needs the bare socket.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sandbox.salesforce import control, page
from sandbox.salesforce.api import Api
from sandbox.salesforce.errors import error
from sandbox.salesforce.faults import Fault, Faults
from sandbox.salesforce.journal import Journal
from sandbox.salesforce.messages import Answer, Call, refused

PIECE = 1 << 16
LOGIN_PAGE = (
    b"<!DOCTYPE html><html><head><title>Login | Salesforce</title></head><body>Please log in.</body></html>"
)
_LIMITS = {
    False: "TotalRequests Limit exceeded.",
    True: "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
}


class Server(ThreadingHTTPServer):
    """The listening side; it holds what the handlers share."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, api: Api, faults: Faults) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.api, self.faults, self.journal = api, faults, Journal()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a client that went away; it is part of what is being tested."""


class Handler(BaseHTTPRequestHandler):
    """One connection: read a call, ask for its answer, send it whole or spoilt."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120
    server_version, sys_version = "sandbox", ""

    def _serve(self) -> None:
        split = urlsplit(self.path)
        call = Call(
            self.command,
            split.path,
            dict(parse_qsl(split.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        api, faults, journal = self.server.api, self.server.faults, self.server.journal
        if call.path.startswith(control.PREFIX):
            self._send(control.answer(call, api, faults, journal), None)
            return
        if call.path in page.PATHS:
            self._send(page.answer(call, api, faults, journal), None)
            return
        began, client_id = time.monotonic(), api.sessions.client_of(call)
        fault = faults.take(method=call.method, path=call.path, client_id=client_id)
        few_enough = api.allowance.begin()
        try:
            answer = self._answered(call, fault, few_enough)
            # Before it is out, so that whoever has the answer finds the call.
            journal.note(
                method=call.method,
                path=call.path,
                query=call.query.get("q"),
                client_id=client_id,
                status=answer.status,
                fault=None if fault is None else fault.kind,
                began=began,
            )
            self._send(answer, fault)
        finally:
            api.allowance.end()

    def _answered(self, call: Call, fault: Fault | None, few_enough: bool) -> Answer:
        api = self.server.api
        if fault is not None:
            api.calls["spoilt"] += 1
        if fault is not None and fault.kind == "expire_sessions":
            api.sessions.expire()
        if fault is not None and fault.kind == "delay":
            time.sleep(float(fault.options.get("seconds", 1)))
        if not few_enough:
            return refused(403, "REQUEST_LIMIT_EXCEEDED", _LIMITS[True])
        return _instead(fault) or api.answer(call, self.server.url)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - names the library calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Log nothing: the counters tell, and a query would carry what nobody should read."""

    def _send(self, answer: Answer, fault: Fault | None) -> None:
        kind, options = (fault.kind, fault.options) if fault is not None else ("", {})
        after = options.get("after_bytes")
        if kind in ("reset", "stall") and after is None:
            self._break_off(kind, options)
            return
        if kind == "drip_headers":
            self._drip_headers()
            return
        body = answer.body
        if kind in ("chunked", "endless", "gzip", "padded"):
            self._send_framed(body.read_bytes() if isinstance(body, Path) else body, answer, kind)
            return
        if kind in ("wrong_length", "garble"):
            body = _spoilt(body.read_bytes() if isinstance(body, Path) else body, kind, options)
        length = body.stat().st_size if isinstance(body, Path) else len(body)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(length))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = length
        if kind in ("truncate", "reset", "stall"):
            stop = min(length, int(length // 2 if after is None else after))
        self._send_body(body, stop, float(options.get("bytes_per_second", 1)) if kind == "drip" else None)
        if kind in ("truncate", "reset", "stall"):
            self._break_off(kind, options)

    def _send_body(self, body: bytes | Path, stop: int, pace: float | None) -> None:
        if pace is not None:
            whole, piece = body.read_bytes() if isinstance(body, Path) else body, max(1, int(pace / 10))
            for start in range(0, stop, piece):
                self.wfile.write(whole[start : min(start + piece, stop)])
                time.sleep(piece / pace)
        elif isinstance(body, bytes):
            self.wfile.write(body[:stop])
        else:
            with body.open("rb") as file:
                while stop and (read := file.read(min(PIECE, stop))):
                    self.wfile.write(read)
                    stop -= len(read)
            if stop:  # the file shrank after its length was told
                self.close_connection = True

    def _send_framed(self, body: bytes, answer: Answer, kind: str) -> None:
        """Send a body whole, in a framing that was not asked for or with more than was promised."""
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if kind == "gzip":
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        if kind in ("gzip", "padded"):
            body += b"\0" * (kind == "padded")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            for start in range(0, len(body), PIECE):
                piece = body[start : start + PIECE]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if kind == "chunked":
                break
            body = body or b"\0"  # an endless body goes on until the client has had enough
        self.wfile.write(b"0\r\n\r\n")

    def _drip_headers(self) -> None:
        """Send one header without end, a letter at a time, until the client goes."""
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while True:
            self.wfile.write(b"a")
            time.sleep(0.05)

    def _break_off(self, kind: str, options: dict[str, Any]) -> None:
        self.close_connection = True
        if kind == "stall":
            time.sleep(float(options.get("seconds", 3600)))
        if kind == "reset":
            # Lingering for no time makes the kernel send RST in place of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


def _instead(fault: Fault | None) -> Answer | None:
    """Return the answer that a fault puts in the place of the true one, if it is of that kind."""
    if fault is None:
        return None
    options = fault.options
    if fault.kind == "limit_exceeded":
        answer = refused(403, "REQUEST_LIMIT_EXCEEDED", _LIMITS[bool(options.get("concurrent"))])
    elif fault.kind == "error":
        answer = error(str(options["code"]))
    elif fault.kind == "html200":
        answer = Answer(200, LOGIN_PAGE, content_type="text/html;charset=UTF-8")
    elif fault.kind == "redirect":
        answer = Answer(302, headers={"Location": str(options.get("location", "/"))})
    elif fault.kind == "status":
        status, body = int(options.get("status", 503)), options.get("body")
        if body is None:
            answer = refused(status, "SERVER_UNAVAILABLE", "The service is not available for now")
        elif isinstance(body, str):
            answer = Answer(status, body.encode(), content_type="text/html;charset=UTF-8")
        else:
            answer = Answer(status, json.dumps(body).encode())
    else:
        return None
    answer.headers.update({str(name): str(value) for name, value in options.get("headers", {}).items()})
    return answer


def _spoilt(body: bytes, kind: str, options: dict[str, Any]) -> bytes:
    if kind == "wrong_length":
        return body[: max(0, len(body) - int(options.get("cut", 1)))]
    middle = len(body) // 2
    return body[:middle] + bytes(byte ^ 0xFF for byte in body[middle : middle + 1]) + body[middle + 1 :]

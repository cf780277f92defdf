"""Bound what uvicorn leaves unbounded: the time and size of headers, unread bodies, stalled readers, connections,
and requests that are sent before earlier ones are answered.

The app bounds the body itself (it answers 408 in full). Here it is only drained: a caller that was answered
before its body was read may finish sending, for some time and some bytes, so that it reads the answer and not
a reset. A stranger's connection thus ends within known limits whatever it sends, or does not send.

What arrives is parsed one request at a time. When some wait behind the one that is carried out, the rest is left
unparsed and the connection is read no further, so that a packet full of requests costs no more than a few.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ingest import errors, headers
from ingest.edge import GONE
from ingest.errors import ProblemError, UnavailableError
from ingest.fairness import MOST_HELD_BYTES, Flow, HeldBytes, Peers, Turns
from ingest.spelling import AnswerTransport

MAX_HEADER_BYTES = 32 * 1024
MAX_URL_BYTES = 16 * 1024
DRAIN_BYTES = 4 * 2**20
STALL_SECONDS = 30.0
MOST_OF_PATH = 1_000  # bytes of a path that an answer names
MOST_BEHIND = 8  # requests that wait on a connection behind the one that is carried out
CHUNK_BYTES = 1024  # of a body without a length that are parsed before we look again who waits
RETRY_AFTER = 1.0
_HEAD_END = b"\r\n\r\n"
_LIVEZ = b"/livez"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Seconds for headers, for draining a body that nobody wants, for a reader that takes nothing, for the rest
    of a request while the process stops; and how many connections there may be, in all and from one address
    (0: no bound), beyond which a newcomer is answered 503."""

    header_seconds: float
    drain_seconds: float
    stall_seconds: float = STALL_SECONDS
    shutdown_seconds: float = 5.0
    connections: int = 1_000
    connections_per_peer: int = 0
    held_bytes: int = MOST_HELD_BYTES


class NotHttpError(Exception):
    """The bytes are no request that could be told what is wrong with it: the answer is a bare 400 with these words.

    What is refused of a request is a ProblemError, answered like every other.
    """


Refusal = ProblemError | NotHttpError


def protocol(bounds: Bounds) -> type[asyncio.Protocol]:
    """Return the protocol class for uvicorn's `http` setting, which makes one per connection."""
    shared = {
        "bounds": bounds,
        "turns": Turns(),
        "held": HeldBytes(time.monotonic, bounds.held_bytes),
        "peers": Peers(bounds.connections_per_peer),
    }
    return cast(type[asyncio.Protocol], type("BoundedDoorProtocol", (BoundedProtocol,), shared))


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol within bounds. One request after another; a connection is never left to wait for ever."""

    bounds: Bounds
    turns: Turns
    held: HeldBytes
    peers: Peers

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.url = b""  # until a request names one
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._refusal: Refusal | None = None
        self._behind: Refusal | None = None  # refused while an answer to what came before is not out
        self._between = True  # no request has begun, or the last one was received whole
        self._in_headers = True
        self._head = 0  # bytes of this request's headers so far
        self._body_left: int | None = 0  # bytes of this request's body to come; None where it does not say
        self._drained = 0
        self._unread = bytearray()  # arrived, and not parsed yet
        self._peer: str | None = None
        self._has_turn = False

    # -- the connection ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin: a connection that says nothing has as long as one whose headers drip."""
        super().connection_made(transport)
        self.flow = Flow(transport)
        self._peer = self.client[0] if self.client else ""
        if not self.peers.enter(self._peer) or len(self.connections) > self.bounds.connections:
            self._refuse(UnavailableError(RETRY_AFTER))
            return
        self._after("header", self.bounds.header_seconds, self._headers_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """End: no timer may outlive its connection."""
        for name in list(self._timers):
            self._stop(name)
        if self._peer is not None:
            self.peers.leave(self._peer)
        self._unread.clear()
        self.pipeline.clear()
        self.held.hold(self, 0)
        if self.cycle is not None:
            self.cycle.scope.setdefault("state", {})[GONE] = True
        super().connection_lost(exc)
        self._end_turn()

    def data_received(self, data: bytes) -> None:
        """Take what came, as far as there is room for more requests."""
        if self.transport.is_closing() or self._behind is not None:
            return
        self._unread += data
        self._parse_on()

    def _parse_on(self) -> None:
        """Parse request by request, until nothing is left or enough of them wait; then read no further."""
        while self._unread and not self.transport.is_closing() and self._behind is None:
            if len(self.pipeline) >= MOST_BEHIND:
                cast(Flow, self.flow).hold()
                break
            self._take(self._piece())
        else:
            self._unread.clear()
            cast(Flow, self.flow).release()
        self._count_held()

    def _piece(self) -> bytes:
        """Return the next bytes to parse: no more than one request's."""
        if self._in_headers:
            end = self._unread.find(_HEAD_END)
            size = len(self._unread) if end < 0 else end + len(_HEAD_END)
        else:
            size = CHUNK_BYTES if self._body_left is None else max(1, self._body_left)
        piece = bytes(self._unread[:size])
        del self._unread[:size]
        return piece

    def _take(self, data: bytes) -> None:
        """Parse some bytes. Counted before they are parsed, since the parser keeps any length of headers."""
        if self._between:
            self._between = False
            self._after("header", self.bounds.header_seconds, self._headers_late)
        if self.cycle is not None and self.cycle.response_complete and not self._in_headers:
            self._drained += len(data)
            if self._drained > DRAIN_BYTES:
                self.transport.close()
                return
        if self._in_headers:
            self._head += len(data)
        self._parse(data)
        if self._in_headers and self._head > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._refuse(_too_large())

    def _parse(self, data: bytes) -> None:
        """Do as uvicorn does, but for an Upgrade: nobody has to grant one, and the request goes on as if none was asked.

        The parser gives up at such a request: its body would be lost, or be read as the next request. So a new
        one is to read the same head without that header, and whatever follows it.
        """
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade as upgrade:
            version, method = self.parser.get_http_version().encode(), self.parser.get_method()
            lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
            lines += [b"%s: %s" % pair for pair in self.headers if pair[0] != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self._unread[:0] = b"\r\n".join([*lines, b"", data[upgrade.args[0] :]])
            self._head = 0

    def _count_held(self) -> None:
        unsent = 0 if self.transport.is_closing() else self.transport.get_write_buffer_size()
        self.held.hold(self, len(self._unread) + (unsent if self.flow.write_paused else 0))

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser, or we inside the parser, could not accept; nothing else is answered after it."""
        self._refuse(self._refusal or NotHttpError(msg))

    def pause_writing(self) -> None:
        """Begin to count how long the caller takes nothing of its answer."""
        super().pause_writing()
        self._count_held()
        self._after("stall", self.bounds.stall_seconds, self.abort)

    def resume_writing(self) -> None:
        """The caller reads again."""
        self._stop("stall")
        super().resume_writing()
        self._count_held()

    # -- one request ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins; behind another one it has its own bytes of headers."""
        super().on_message_begin()
        self._between, self._in_headers, self._drained = False, True, 0
        if "header" not in self._timers:
            self._after("header", self.bounds.header_seconds, self._headers_late)

    def on_headers_complete(self) -> None:
        """Judge the version, the size of the headers and the host, then let the app begin."""
        if self._is_upgrade():
            return  # it begins anew, see `_parse`
        self._stop("header")
        hosts = [value for name, value in self.headers if name == b"host"]
        lengths = [value for name, value in self.headers if name == b"content-length"]
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if len(self.url) > MAX_URL_BYTES:
            self._refusal = ProblemError("uri_too_long", "Send an address of at most 16 KB.")
        elif size > MAX_HEADER_BYTES:
            self._refusal = _too_large()
        elif (version := self.parser.get_http_version()) not in ("1.0", "1.1"):
            # The parser takes HTTP/0.9, which the app would answer with a 500.
            self._refusal = NotHttpError("This version of HTTP is not spoken here.")
        elif self.parser.get_method() == b"CONNECT":
            self._refusal = NotHttpError("This is no proxy.")
        elif len(hosts) > 1 or (version == "1.1" and not hosts) or not all(map(headers.is_host, hosts)):
            self._refusal = NotHttpError("Send one Host header that names a host.")  # RFC 9112, 3.2
        elif self.url != _LIVEZ and not self.held.has_room():
            self._refusal = UnavailableError(RETRY_AFTER)
        if self._refusal is not None:
            raise self._refusal  # the parser stops at this, and calls send_400_response
        self._in_headers, self._head = False, 0
        # The parser takes a length that is no number, or two that differ, for an error.
        self._body_left = int(lengths[0]) if lengths else None if self._has_chunks() else 0
        super().on_headers_complete()
        self.cycle.transport = cast(asyncio.Transport, AnswerTransport(self.transport))

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        if self._body_left is not None:
            self._body_left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here, whole."""
        if self._is_upgrade():
            return
        super().on_message_complete()
        self._stop("drain")
        self._between, self._in_headers, self._head = True, True, 0
        if self.cycle.response_complete and not self.transport.is_closing():
            # Answered before it was whole: uvicorn's own idle timer has been stopped by the rest of it.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """The answer is out: go on with what waits, or drain what is still to come of the request, within bounds."""
        self.server_state.total_requests += 1
        self._end_turn()
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.pipeline:
            self.turns.ask(self._start_waiting)
        elif self._behind is not None:
            self._end_with(self._behind)
            return
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        if self.cycle.response_complete and not self._between and not self._in_headers:
            self._unset_keepalive_if_required()
            self._after("drain", self.bounds.drain_seconds, self.transport.close)
        self._parse_on()

    def _start_waiting(self) -> bool:
        """Begin the request that waits first on this connection. False where it has gone."""
        if not self.pipeline or self.transport.is_closing():
            return False
        cycle, app = self.pipeline.pop()
        self._has_turn = True
        self._start_asgi_task(cycle, app)
        return True

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self.turns.end()

    def shutdown(self) -> None:
        """End with the process: an answer is finished, a request that is still arriving has little time left."""
        super().shutdown()
        if not self._between and not self.transport.is_closing():
            self._after("shutdown", self.bounds.shutdown_seconds, self.transport.close)

    # -- the ends ---------------------------------------------------------------------------------------

    def _headers_late(self) -> None:
        if self.cycle is None and self._head == 0:
            self.transport.close()  # it never said anything, so it expects no answer
        else:
            self._refuse(ProblemError("request_timeout", "The headers did not arrive in time."))

    def _is_upgrade(self) -> bool:
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def _has_chunks(self) -> bool:
        return any(name == b"transfer-encoding" for name, _ in self.headers)

    def abort(self) -> None:
        """Close at once; what the caller has not taken is lost."""
        self.transport.abort()

    def _refuse(self, refused: Refusal) -> None:
        """Answer without the app, and close."""
        if self.transport.is_closing():
            return
        self._stop("header")
        if self.cycle is not None and not self.cycle.response_complete:
            if not self.cycle.more_body:
                # Refused is what came behind a request that may have been carried out: its answer goes first, or
                # the caller takes this one for it and sends it again.
                self._behind = refused
                return
            # An answer is under way or about to be: two would be read as one by somebody.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started or self.pipeline:
                self.transport.close()
                return
        self._end_with(refused)

    def _end_with(self, refused: Refusal) -> None:
        path = self.url.partition(b"?")[0][:MOST_OF_PATH].decode("latin-1")
        self.transport.write(_written(refused, unquote(path)))
        self.transport.close()

    def _after(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        self._stop(name)
        self._timers[name] = self.loop.call_later(seconds, action)

    def _stop(self, name: str) -> None:
        with contextlib.suppress(KeyError):
            self._timers.pop(name).cancel()


def _too_large() -> ProblemError:
    return ProblemError("headers_too_large", "Send at most 32 KB of headers.")


def _written(refused: Refusal, path: str) -> bytes:
    """Return the answer to what was refused, as it goes over the wire."""
    if isinstance(refused, NotHttpError):
        status, phrase, body = 400, "Bad Request", str(refused).encode("ascii")
        named = {
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
    else:
        request_id = str(uuid.uuid4())
        status, own, body = errors.problem(refused, request_id=request_id, instance=path)
        phrase = errors.CODES[refused.code].phrase
        named = {**dict(headers.answer(request_id=request_id, runtime=headers.runtime(0))), **dict(own)}
    named |= {"Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode("ascii") + body

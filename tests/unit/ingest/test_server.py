"""The server's bounds, met by real sockets: whatever a stranger sends, or does not, ends within known limits."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from ingest import headers
from ingest.server import DRAIN_BYTES
from tests.doors import Door
from tests.served import (
    LARGE,
    PATIENCE,
    asking_for_a_file,
    asking_for_much,
    is_whole_problem,
    post,
    serve,
    statuses,
    talk,
    until_closed,
)


@pytest.fixture
def door() -> Iterator[Door]:
    """A door on stores in memory."""
    with Door(body_seconds=0.4) as made:
        yield made


@pytest.fixture
def port(door: Door) -> Iterator[int]:
    """The port on which that door is served."""
    with serve(door) as port:
        yield port


def test_an_honest_connection_is_served_again_and_again(door: Door, port: int) -> None:
    """Keep-alive and pipelined requests are answered in turn, and the idle connection is closed at last."""
    received = talk(port, post(door) + post(door), post(door), pause=0.2)
    assert statuses(received) == [200, 200, 200]
    assert len(door.imports.documents) == 1, "the test's ids are all the same"


def test_slow_headers_are_given_up(port: int) -> None:
    """A header a blink never ends the headers: 408, and closed."""
    received = talk(port, b"GET /livez HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 8, pause=0.1)
    assert statuses(received) == [408]
    is_whole_problem(received, "request_timeout")


def test_slow_headers_behind_an_answer_are_given_up_as_well(port: int) -> None:
    """The second request of a connection has no more time than the first; nor has one of empty lines."""
    first = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    received = talk(port, first + b"GET /livez HT", *[b""] * 8, pause=0.1)
    assert statuses(received) == [200, 408]
    received = talk(port, first, *[b"\r\n"] * 10, pause=0.1)
    assert statuses(received) == [200, 408]


def test_a_silent_connection_is_closed(port: int) -> None:
    """Whoever says nothing is hung up on, without a word."""
    assert talk(port) == b""


def test_a_slow_body_is_408_with_a_whole_problem(door: Door, port: int) -> None:
    """The app's own answer, with every header, and the connection closed."""
    received = talk(port, post(door, b"a", length="Content-Length: 50"), *[b"a"] * 8, pause=0.1)
    assert statuses(received) == [408]
    assert b'"code":"request_timeout"' in received
    assert door.imports.documents == {}


def test_honest_callers_are_served_while_others_dawdle(door: Door, port: int) -> None:
    """A hundred slow connections of each kind cost the honest one nothing."""
    with contextlib.ExitStack() as crowd:
        for opening in (b"", b"GET /livez HTTP/1.1\r\nX-A:", post(door, b"a", length="Content-Length: 9")):
            for _ in range(30):
                dawdler = crowd.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
                dawdler.sendall(opening)
        assert statuses(talk(port, post(door))) == [200]


@pytest.mark.parametrize(
    ("name", "lines", "body"),
    [
        ("length and chunks", ["Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        ("two lengths", ["Content-Length: 3"], b"album_id=a"),
        ("a signed length", [], b"+10"),
        ("an underscored length", [], b"1_0"),
        ("chunked spelt oddly", ["Transfer-Encoding: xchunked"], b""),
        ("chunked behind a space", ["Transfer-Encoding : chunked"], b""),
        ("chunked behind a tab", ["Transfer-Encoding:\tchunked"], b"0\r\n\r\n"),
        ("a folded header", ["X-A: b\r\n Transfer-Encoding: chunked"], b""),
        ("a bare CR", ["X-A: b\rTransfer-Encoding: chunked"], b""),
        ("a bare LF", ["X-A: b\nTransfer-Encoding: chunked"], b""),
        ("a NUL", ["X-A: b\0c"], b""),
    ],
)
def test_a_second_request_cannot_be_hidden_in_a_first(
    door: Door, port: int, name: str, lines: list[str], body: bytes
) -> None:
    """At most one answer, never a second, on whatever two servers could frame differently."""
    length = {"a signed length": "Content-Length: +10", "an underscored length": "Content-Length: 1_0"}.get(
        name, "Content-Length: 10" if name == "two lengths" else None
    )
    hidden = b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Hidden: 1\r\n\r\n"
    received = talk(port, post(door, body, *lines, length=length) + hidden)
    assert len(statuses(received)) == 1, received
    assert statuses(received)[0] in (400, 411), name
    assert b'{"status":"ok"}' not in received
    assert door.imports.documents == {}


@pytest.mark.parametrize(
    "chunks",
    [b"zz\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n", b"fffffffffffffffff\r\n", b"3\r\nabcdef\r\n0\r\n\r\n"],
)
def test_chunks_are_never_read(door: Door, port: int, chunks: bytes) -> None:
    """Good or bad, a chunked body is refused with its connection."""
    received = talk(port, post(door, chunks, "Transfer-Encoding: chunked", length=""))
    assert len(statuses(received)) == 1
    assert statuses(received)[0] in (400, 411)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nX-A: " + b"a" * 65_536 + b"\r\n\r\n", 431),
        (b"GET /livez HTTP/1.1\r\n" + b"X-A: b\r\n" * 8_192 + b"\r\n", 431),
        (b"GET /livez?" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /livez HTTP/1.1\r\nX-A: " + b"a" * 40_000, 431),
    ],
)
def test_headers_are_bounded_in_bytes(port: int, request_: bytes, status: int) -> None:
    """64 KB of one header, of many, of an address, or of one that never ends: refused like all else, and closed."""
    received = talk(port, request_)
    assert statuses(received) == [status]
    is_whole_problem(received, {431: "headers_too_large", 414: "uri_too_long"}[status])


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GARBAGE\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"GET http:// HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
)
def test_what_is_not_our_http_is_refused(port: int, nonsense: bytes) -> None:
    """TLS, garbage, tunnels, other forms of address, other versions, no host or two: 4xx or nothing, and closed."""
    assert all(400 <= status < 500 for status in statuses(talk(port, nonsense)))


def names(received: bytes) -> list[str]:
    """Return the names of the first answer's headers as they came over the wire."""
    return [line.partition(b":")[0].decode() for line in received.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]]


def test_header_names_are_spelled_as_they_always_were(door: Door, port: int) -> None:
    """A client that compares names as text finds `X-token`, `P3P` and all others in the original's order."""
    received = names(talk(port, post(door)))
    original = [
        name for name, _ in headers.answer(request_id="", runtime="", token="t")
    ]  # tests/contract has them
    assert [name for name in received if name not in ("Date", "Location")] == [*original, "Content-Length"]
    refused = names(talk(port, post(door).replace(b"Token token", b"Tokn token")))
    assert {"X-message", "WWW-Authenticate", "Content-Length"} <= set(refused)
    assert "X-token" not in refused


def test_only_names_are_spelled_and_only_in_the_head(door: Door, port: int) -> None:
    """Values keep their case, a body that looks like headers its bytes, and `100 Continue` stays bare."""
    body = b"filename=x-token%3A%20a%0D%0A%0D%0Ax-token%3A%20b"
    expecting = post(door, body, "Expect: 100-continue", "X-Request-Id: x-token-Id")
    received = talk(port, expecting)
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert b"\r\nX-Request-Id: x-token-Id\r\n" in received
    assert b'"filename":"x-token: a\\r\\n\\r\\nx-token: b"' in received
    assert b"\r\nETag: " in talk(port, asking_for_a_file(door))


def test_a_huge_body_is_refused_by_what_it_announces(door: Door, port: int) -> None:
    """20 GB: 413 before the first byte; whoever sends them nevertheless is cut off soon."""
    opening = post(door, b"", length=f"Content-Length: {20 * 2**30}")
    assert statuses(talk(port, opening)) == [413]
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as stranger:
        stranger.sendall(opening)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 * 2**20:
                sent += stranger.send(b"a" * 65_536)
        assert sent < 100 * 2**20, "the server read on for ever"
        assert sent >= DRAIN_BYTES // 4, "an answer must be readable before the connection goes"


def test_a_body_that_nobody_wants_is_drained_and_the_connection_goes_on(door: Door, port: int) -> None:
    """A 401 before the body was read leaves a connection on which the next request is understood."""
    opening = post(door, b"", length="Content-Length: 4000").replace(b"Token token", b"Tokn token")
    received = talk(port, opening, b"a" * 4_000, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", pause=0.1)
    assert statuses(received) == [401, 200]


def test_no_body_is_asked_for_before_its_sender_is_known(door: Door, port: int) -> None:
    """`Expect: 100-continue` gets its 401 at once, and its 100 only with a token."""
    expecting = post(door, b"", "Expect: 100-continue", length="Content-Length: 10")
    assert not talk(port, expecting.replace(b"Token token", b"Tokn token")).startswith(b"HTTP/1.1 100")
    received = talk(port, expecting, b"album_id=a", pause=0.1)
    assert received.startswith(b"HTTP/1.1 100")
    assert statuses(received) == [200]


def test_a_crowd_beyond_the_bound_is_told_to_come_back(door: Door) -> None:
    """The connection too many gets 503 with Retry-After; when others leave, the next one is served."""
    with serve(door, connections=5, header_seconds=5) as port:
        with contextlib.ExitStack() as crowd:
            for _ in range(5):
                crowd.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            time.sleep(0.2)
            received = talk(port)
            assert statuses(received) == [503]
            is_whole_problem(received, "unavailable")
            assert b"Retry-After" in received
        time.sleep(0.2)
        assert statuses(talk(port, post(door))) == [200]


def test_a_reader_that_takes_nothing_is_cut_off(door: Door) -> None:
    """Whoever asks for much and reads none of it holds no memory and no blob for long."""
    with serve(door, stall_seconds=0.3) as port:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as stranger:
            stranger.sendall(asking_for_much(door))
            time.sleep(1.0)
            received = until_closed(stranger)
        assert received.startswith(b"HTTP/1.1 200")
        assert len(received) < LARGE
        assert statuses(talk(port, post(door))) == [200]
    assert all(body.closed and body.given < LARGE for body in door.blobs.opened)


def test_a_caller_that_hangs_up_does_not_have_the_rest_read(door: Door, port: int) -> None:
    """The blob is closed soon after, and most of it never left the store."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as stranger:
        stranger.sendall(asking_for_much(door))
        assert stranger.recv(1_000).startswith(b"HTTP/1.1 200")
    end = time.monotonic() + PATIENCE
    while not all(body.closed for body in door.blobs.opened) and time.monotonic() < end:
        time.sleep(0.05)
    assert [body.closed and body.given < LARGE for body in door.blobs.opened] == [True]


def test_an_upgrade_is_not_offered(port: int) -> None:
    """A WebSocket handshake is a GET like others: never 101, and the connection goes on speaking HTTP."""
    handshake = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    received = talk(port, handshake, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", pause=0.1)
    assert statuses(received) == [200, 200]


@pytest.mark.parametrize("pause", [0.0, 0.05])
@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "x"])
def test_an_upgrade_that_is_asked_for_is_not_granted(
    door: Door, port: int, upgrade: str, pause: float
) -> None:
    """Clients that offer HTTP/2 in plain text (Java's, curl's) send a body with it: it is read, as a body."""
    asked = post(door, b"album_id=one", "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {upgrade}")
    head, _, body = asked.partition(b"\r\n\r\n")
    received = talk(port, head + b"\r\n\r\n", body, post(door), pause=pause)
    assert statuses(received) == [200, 200]
    assert b'"album_id":"one"' in received


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_no_request_hides_in_the_body_of_an_upgrade(door: Door, port: int, pause: float) -> None:
    """What was announced as a body is never read as the next request, whatever is asked for beside it."""
    hidden = post(door)
    head = f"POST /readyz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: {len(hidden)}\r\n\r\n"
    received = talk(port, head.encode(), hidden, pause=pause)
    assert statuses(received) == [405]
    assert door.imports.documents == {}


@pytest.mark.parametrize("nonsense", [b"GARBAGE\r\n\r\n", b"GET /livez HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("pause", [0.0, 0.002])
def test_nonsense_behind_a_request_is_refused_behind_its_answer(
    door: Door, port: int, nonsense: bytes, pause: float
) -> None:
    """An import that was accepted is answered, or its client would take the refusal for the answer and send it again."""
    received = talk(port, post(door), nonsense, pause=pause)
    assert statuses(received) == [200, 400]
    assert len(door.imports.documents) == 1

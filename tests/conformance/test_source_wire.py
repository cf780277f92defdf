"""The wire is hostile: deadlines hold whatever drips, and no answer makes the worker do what it should not."""

from __future__ import annotations

import gzip
import io
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.hostile import Hostile, answer
from tests.conformance.organization import PICTURE, World, in_time, organization_at
from workers.failures import Failure, Permanent, Throttled, Transient

RECORD_ID = "00P4I00000zyw3eUAA"


def attempt(hostile: Hostile, *, seconds: float = 10, max_bytes: int = 1 << 20) -> bytes:
    source = organization_at(hostile.url)
    sink = io.BytesIO()
    try:
        visit = source.visit(RECORD_ID, deadline=in_time(seconds))
        visit.stream(visit.describe(), sink, max_bytes=max_bytes)
    finally:
        source.close()
    return sink.getvalue()


def test_dripping_headers_end_with_the_deadline() -> None:
    """A header line every few milliseconds keeps every read timeout quiet, but not the watchdog."""

    def script(connection: socket.socket, _path: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
        hostile.drip(connection, b"a")

    begun = time.monotonic()
    with Hostile(script) as hostile, pytest.raises(Failure) as caught:
        attempt(hostile, seconds=1)
    assert caught.value.code == "salesforce_too_slow"
    assert time.monotonic() - begun < 15  # the read timeout alone would never end it


def test_a_dripping_row_ends_with_the_deadline() -> None:
    """A row is bounded like a body: in time, and in length."""

    def script(connection: socket.socket, path: str) -> None:
        if path == "/services/data":
            connection.sendall(answer(b"[]"))
            return
        connection.sendall(answer(b"", "Transfer-Encoding: chunked"))
        hostile.drip(connection, b"1\r\n \r\n")

    with Hostile(script, size=None) as hostile, pytest.raises(Transient) as caught:
        attempt(hostile, seconds=1)
    assert caught.value.code == "salesforce_too_slow"


def test_an_endless_row_is_cut_off() -> None:
    """A row that never ends costs bounded memory and counts an attempt."""

    def script(connection: socket.socket, _path: str) -> None:
        connection.sendall(answer(b"", "Transfer-Encoding: chunked"))
        while True:
            connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")

    with Hostile(script, size=None) as hostile, pytest.raises(Transient) as caught:
        attempt(hostile)
    assert caught.value.code == "answer_unreadable"


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


BODY = b"\x89PNG" + b"x" * 4996
CASES: list[tuple[str, bytes, str | None]] = [
    ("plain", answer(BODY), None),
    ("chunked", answer(chunked(BODY[:7], BODY[7:], b""), "Transfer-Encoding: chunked"), None),
    ("no length", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY, None),
    ("short chunked", answer(chunked(BODY[:7]), "Transfer-Encoding: chunked"), "answer_truncated"),
    ("no length, short", b"HTTP/1.1 200 OK\r\n\r\n" + BODY[:-1], "answer_wrong_length"),
    ("padded", answer(BODY + b"x"), "answer_wrong_length"),
    ("padded chunked", answer(chunked(BODY, BODY, b""), "Transfer-Encoding: chunked"), "answer_wrong_length"),
    ("absurd length", answer(BODY, "Content-Length: 99999999999999999999999"), "answer_truncated"),
    ("gzipped", answer(gzip.compress(BODY), "Content-Encoding: gzip"), "answer_not_a_file"),
    ("a long page", answer(b"\n<HTML>" + b" " * 9000), "answer_not_a_file"),
    ("an error with 200", answer(b'[{"errorCode": "X"}]'), "answer_not_a_file"),
    ("no http", b"220 smtp.example ESMTP\r\n\r\n", "salesforce_connection_lost"),
    ("nothing", b"", "salesforce_connection_lost"),
]


@pytest.mark.parametrize(("sent", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_framing_is_counted_and_not_believed(sent: bytes, code: str | None) -> None:
    """Whole bodies arrive in every framing; anything else counts an attempt with its own code."""

    def script(connection: socket.socket, _path: str) -> None:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_RDWR)

    with Hostile(script) as hostile:
        if code is None:
            assert attempt(hostile) == BODY
            return
        with pytest.raises(Transient) as caught:
            attempt(hostile)
        assert caught.value.code == code


@pytest.mark.parametrize("known", [True, False])
def test_an_endless_body_is_cut_at_the_cap(known: bool) -> None:
    """Bytes past the promised size, or past the cap where none was promised, are not read on."""

    def script(connection: socket.socket, _path: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with Hostile(script, size=5000 if known else -1) as hostile, pytest.raises(Failure) as caught:
        attempt(hostile, max_bytes=100_000)
    assert type(caught.value) is (Transient if known else Permanent)
    assert caught.value.code == ("answer_wrong_length" if known else "attachment_too_large")


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
def test_no_token_follows_a_redirect(status: str) -> None:
    """A redirect to another host is not followed: that host is asked nothing at all, and its body not read."""

    def elsewhere(connection: socket.socket, _path: str) -> None:
        connection.sendall(answer(BODY))

    def script(connection: socket.socket, _path: str) -> None:
        connection.sendall(
            answer(b"", f"Location: {other.url}/x", "Transfer-Encoding: chunked", status=status)
        )
        while True:
            connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")

    with Hostile(elsewhere) as other, Hostile(script) as hostile, pytest.raises(Transient) as caught:
        attempt(hostile)
    assert caught.value.code == "salesforce_redirected"
    assert other.requests == []


def test_requests_carry_the_token_and_nothing_of_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A .netrc that knows the host does not replace the token, and cookies are not sent back."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Hostile(lambda connection, _: connection.sendall(answer(BODY, "Set-Cookie: sid=1"))) as hostile:
        attempt(hostile)
        asked = [request.lower() for request in hostile.requests[1:]]
    assert len(asked) == 2
    for request in asked:
        assert b"authorization: bearer t\r\n" in request
        assert b"accept-encoding: identity\r\n" in request
        assert b"cookie" not in request


def test_a_connection_that_died_idle_is_repeated_once() -> None:
    """A server that closes a kept connection on its next request costs no attempt."""
    closed: list[str] = []

    def script(connection: socket.socket, path: str) -> None:
        if not closed:
            closed.append(path)
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(answer(BODY))

    with Hostile(script) as hostile:
        assert attempt(hostile) == BODY
    assert len(closed) == 1


def test_connections_are_kept_over_bodies(world: World) -> None:
    """A body read to its end gives its connection back: ten records use one."""
    record_id = world.add()
    accepted: list[object] = []
    accept: Callable[[], tuple[socket.socket, object]] = world.server.get_request
    world.server.get_request = lambda: accepted.append(1) or accept()  # type: ignore[method-assign, assignment]
    for _ in range(10):
        assert world.fetch(record_id)[1] == PICTURE
    assert len(accepted) == 1


def test_plain_http_is_for_this_machine_only() -> None:
    """A URL of another machine without TLS is refused before anything is sent to it."""
    with pytest.raises(ValueError, match="https://"):
        organization_at("http://acme.my.salesforce.com")


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY serves real hosts; loopback is reached directly, since a proxy has a loopback of its own."""
    record_id = world.add()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert world.fetch(record_id)[1] == PICTURE


def test_a_proxy_of_the_environment_is_asked_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY is used for a real host, and a proxy that refuses is about the organization."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    def script(connection: socket.socket, _path: str) -> None:
        connection.sendall(answer(b"", status="503 Service Unavailable"))

    with Hostile(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("https_proxy", proxy.url)
        source = organization_at("https://acme.my.salesforce.com")
        with pytest.raises(Throttled) as caught:
            source.visit(RECORD_ID, deadline=in_time()).describe()
        source.close()
        assert proxy.requests[0].startswith(b"CONNECT acme.my.salesforce.com:443 ")
    assert caught.value.waiting_for == "salesforce"


MEASURE = """
import sys, tempfile
from tests.conformance.organization import in_time, organization_at
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
source = organization_at(sys.argv[1])
def fetch(record_id):
    with tempfile.TemporaryFile() as sink:
        visit = source.visit(record_id, deadline=in_time(60))
        return visit.stream(visit.describe(), sink, max_bytes=1 << 25).bytes
fetch(sys.argv[2])
before = peak()
length = fetch(sys.argv[3])
print(length, peak() - before)
source.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_a_large_body_costs_little_memory(world: World) -> None:
    """25 MB pass through a fetch without being held: the process's peak grows by less than 10 MB."""
    small, large = world.add(), world.add(bytes(range(256)) * 100_000, "large.png")
    command = [sys.executable, "-c", MEASURE, world.url, small, large]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    length, grown = map(int, done.stdout.split())
    assert length == 25_600_000
    assert grown < 10_000  # kB

"""No connection, and no address, takes what all others need: requests, memory and places are shared."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ingest.fairness import HeldBytes, Turns
from ingest.server import MOST_BEHIND, BoundedProtocol
from tests.doors import Door
from tests.served import (
    PATIENCE,
    asking_for_a_file,
    asking_for_much,
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


UPGRADE = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
PLAIN = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("request_", [UPGRADE, PLAIN], ids=["upgrades", "plain"])
def test_a_packet_full_of_requests_is_answered_request_by_request(
    door: Door, capfd: pytest.CaptureFixture[str], request_: bytes
) -> None:
    """1,500 requests in one packet have 1,500 answers in order, without a word of a failure in the log."""
    with (
        serve(door, header_seconds=30) as port,
        socket.create_connection(("127.0.0.1", port), 60) as stranger,
    ):
        sending = threading.Thread(target=stranger.sendall, args=(request_ * 1_500 + LAST,))
        sending.start()
        received = until_closed(stranger)
        sending.join()
    assert statuses(received) == [200] * 1_501
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err


def test_a_connection_is_read_no_further_than_a_few_requests(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first of many is not answered, a handful is parsed and the rest stays as it came."""
    begun = 0
    begin = BoundedProtocol.on_message_begin

    def counted(self: BoundedProtocol) -> None:
        nonlocal begun
        begun += 1
        begin(self)

    monkeypatch.setattr(BoundedProtocol, "on_message_begin", counted)
    hanging = threading.Event()
    find = door.blobs.stream

    async def slow(*args: Any, **kwargs: Any) -> Any:
        await asyncio.to_thread(hanging.wait, PATIENCE)
        return await find(*args, **kwargs)

    monkeypatch.setattr(door.blobs, "stream", slow)
    with (
        serve(door, header_seconds=30) as port,
        socket.create_connection(("127.0.0.1", port), PATIENCE) as stranger,
    ):
        stranger.sendall(asking_for_a_file(door) + PLAIN * 2_000)
        time.sleep(0.5)
        waiting = begun
        hanging.set()
        stranger.sendall(LAST)
        received = until_closed(stranger)
    assert waiting == 1 + MOST_BEHIND
    assert statuses(received) == [200] * 2_002


def test_followers_of_many_connections_take_turns() -> None:
    """What waits behind other requests is begun in its order, a few at once, and what has gone is passed over."""
    turns, begun = Turns(most=2), []

    def start(name: str, *, there: bool = True) -> Callable[[], bool]:
        def begin() -> bool:
            begun.append(name)
            return there

        return begin

    for name in ("a", "b"):
        turns.ask(start(name))
    turns.ask(start("gone", there=False))
    turns.ask(start("c"))
    assert begun == ["a", "b"]
    turns.end()
    assert begun == ["a", "b", "gone", "c"]


def test_readers_that_take_nothing_are_cut_where_room_is_needed() -> None:
    """Beyond the bound those go that have held most for longest; one that has just begun stays."""
    now = 0.0
    held = HeldBytes(lambda: now, most=100)

    class Reader:
        def __init__(self) -> None:
            self.aborted = False

        def abort(self) -> None:
            self.aborted = True

    small, large, young = Reader(), Reader(), Reader()
    held.hold(small, 20)
    held.hold(large, 70)
    assert held.has_room()
    now = 2.0
    held.hold(young, 40)
    assert held.has_room()
    assert (small.aborted, large.aborted, young.aborted) == (False, True, False)
    held.hold(young, 90)
    assert held.has_room()
    assert small.aborted
    held.hold(young, 101)
    assert not held.has_room()
    held.hold(young, 0)
    assert (held.has_room(), held.total) == (True, 0)


def test_answers_that_nobody_takes_leave_room_for_others(door: Door) -> None:
    """Readers that stop reading hold no more than the bound, are cut when room is needed, and `/livez` answers on."""
    with serve(door, held_bytes=2**20, stall_seconds=30) as port, contextlib.ExitStack() as crowd:
        request_ = asking_for_much(door)
        for _ in range(12):
            stranger = crowd.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stranger.sendall(request_)
        time.sleep(1.5)
        assert statuses(talk(port, LAST)) == [200]
        assert statuses(talk(port, post(door, b"album_id=a", "Connection: close"))) == [200]


def test_one_address_takes_a_share_and_not_all(door: Door) -> None:
    """Beyond its bound an address is told to come back, and another one is served at once."""
    with serve(door, connections=10, connections_per_peer=4, header_seconds=5) as port:
        with contextlib.ExitStack() as crowd:
            for _ in range(4):
                crowd.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            time.sleep(0.2)
            assert statuses(talk(port)) == [503]
            source = ("127.0.0.2", 0)
            with socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=source) as other:
                other.sendall(LAST)
                assert statuses(until_closed(other)) == [200]
        time.sleep(0.2)
        assert statuses(talk(port, LAST)) == [200]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"example.org", 200),
        (b"example.org:8000", 200),
        (b"example.org:", 200),
        (b"127.0.0.1:80", 200),
        (b"[::1]", 200),
        (b"[::ffff:1.2.3.4]:80", 200),
        (b"a%20b", 200),
        (b"", 200),
        (b"a b/c@d", 400),
        (b"a b", 400),
        (b"user@example.org", 400),
        (b"example.org/path", 400),
        (b"example.org:80:80", 400),
        (b"example.org:http", 400),
        (b"[::1", 400),
        (b"[zz]", 400),
        (b"[1.2.3.4]", 400),
        (b"::1", 400),
        (b"a%2", 400),
        (b"a,b?c", 400),
        (b"a#b", 400),
        (b"b\xc3\xbccher.example", 400),
        (b"<script>", 400),
    ],
)
def test_a_host_is_one_by_its_grammar(port: int, host: bytes, status: int) -> None:
    """RFC 9112, 3.2: an invalid field value is answered 400, before anything is made of it."""
    received = talk(port, b"GET /livez HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert statuses(received) == [status]

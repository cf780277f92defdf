"""The proxy that the other rows rest on: each of its weathers does what its name says, and ends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.proxy import FAIR, Proxy, Weather


@pytest.fixture
def echo() -> Iterator[tuple[Proxy, list[bytes]]]:
    """A proxy before a server that answers each piece with itself, and what that server has received."""
    received: list[bytes] = []

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while piece := client.recv(65_536):
                received.append(piece)
                client.sendall(piece)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    with Proxy(listener.getsockname()[1]) as proxy:
        yield proxy, received
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def call(proxy: Proxy) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port), 5)
    client.settimeout(5)
    return client


def exchange(proxy: Proxy) -> bytes:
    """Say something on a new connection and return the answer."""
    with call(proxy) as client:
        client.sendall(b"hello")
        return client.recv(10)


def test_in_fair_weather_bytes_come_back(echo: tuple[Proxy, list[bytes]]) -> None:
    """Nothing is changed, and nothing is held back."""
    assert exchange(echo[0]) == b"hello"


def test_refused_and_reset_connections_end_and_new_ones_fail(echo: tuple[Proxy, list[bytes]]) -> None:
    """Old connections are reset, new ones refused or reset; afterwards the same port serves again."""
    proxy, _ = echo
    for weather in (Weather(refuse=True), Weather(reset=True)):
        with call(proxy) as client:
            client.sendall(b"hello")
            assert client.recv(10) == b"hello"
            proxy.be(weather)
            with pytest.raises(ConnectionResetError):
                client.recv(10)
        with pytest.raises(ConnectionError):
            exchange(proxy)
        proxy.be(FAIR)
        test_in_fair_weather_bytes_come_back(echo)


def test_a_stall_keeps_what_was_sent(echo: tuple[Proxy, list[bytes]]) -> None:
    """Nothing moves while it lasts, and everything arrives after it."""
    proxy, received = echo
    with call(proxy) as client:
        with proxy.weather(stall=True):
            client.sendall(b"hello")
            time.sleep(0.2)
            assert received == []
        assert client.recv(10) == b"hello"


@pytest.mark.parametrize(("way", "arrives"), [("up", []), ("down", [b"hello"])])
def test_one_direction_is_lost(echo: tuple[Proxy, list[bytes]], way: str, arrives: list[bytes]) -> None:
    """What was lost never comes, and the connection that lost it is reset when the weather clears."""
    proxy, received = echo
    with call(proxy) as client:
        with proxy.weather(lose=way):
            client.sendall(b"hello")
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(10)
            assert received == arrives
        with pytest.raises(ConnectionResetError):
            client.recv(10)


def test_only_the_chosen_reply_is_lost(echo: tuple[Proxy, list[bytes]]) -> None:
    """The request arrives, its answer does not, its connection is reset; another connection is served."""
    proxy, received = echo
    with call(proxy) as client, call(proxy) as other:
        proxy.drop_reply(b"write")
        other.sendall(b"read")
        assert other.recv(10) == b"read"
        client.sendall(b"write")
        with pytest.raises(ConnectionResetError):
            client.recv(10)
        other.sendall(b"write")
        assert other.recv(10) == b"write"
        assert received == [b"read", b"write", b"write"]
        assert proxy.dropped == 1


def test_answers_come_late_slowly_or_in_part(echo: tuple[Proxy, list[bytes]]) -> None:
    """Latency and bandwidth delay both ways; a connection is closed after its measure of bytes."""
    proxy, _ = echo
    for weather in (Weather(latency=0.2), Weather(bandwidth=25)):
        proxy.be(weather)
        begun = time.monotonic()
        test_in_fair_weather_bytes_come_back(echo)
        assert time.monotonic() - begun > 0.35
    proxy.be(Weather(close_after=3))
    with call(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(10) == b"hel"
        assert client.recv(10) == b""

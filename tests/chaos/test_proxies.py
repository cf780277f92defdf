"""The proxies do to a connection what the fault's name says, and nothing once it is over."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.proxies import Proxy


class Echo:
    """A store that answers what it is told, and remembers it."""

    def __init__(self) -> None:
        self.told = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=self.listener.accept()[:1], daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while piece := client.recv(1024):
                self.told += piece
                client.sendall(piece)


@pytest.fixture
def echo() -> Iterator[Echo]:
    store = Echo()
    yield store
    store.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    proxy = Proxy(echo.port)
    yield proxy
    proxy.close()


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=0.5)


def said(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    return client.recv(1024)


def test_an_open_proxy_carries_both_ways(proxy: Proxy) -> None:
    """Without a fault nobody notices it."""
    with connected(proxy) as client:
        assert said(client, b"one") == b"one"
        assert said(client, b"two") == b"two"


def test_a_cut_resets_old_and_new_connections(proxy: Proxy) -> None:
    """Whoever was connected is cut off, whoever comes is, too; afterwards it serves again."""
    with connected(proxy) as client:
        said(client, b"one")
        proxy.become("cut")
        with contextlib.suppress(ConnectionError):
            assert said(client, b"two") == b""
    with contextlib.suppress(ConnectionError), connected(proxy) as client:
        assert said(client, b"three") == b""
    proxy.become("open")
    with connected(proxy) as client:
        assert said(client, b"four") == b"four"


def test_a_stall_delays_and_loses_nothing(proxy: Proxy) -> None:
    """Nothing arrives and nothing ends while it lasts; then everything arrives."""
    with connected(proxy) as client:
        said(client, b"one")
        proxy.become("stalled")
        with pytest.raises(TimeoutError):
            said(client, b"two")
        proxy.become("open")
        assert client.recv(1024) == b"two"


def test_a_mute_store_hears_and_is_not_heard(proxy: Proxy, echo: Echo) -> None:
    """What is sent arrives, the answer never does: the connection ends when the fault is over."""
    with connected(proxy) as client:
        said(client, b"one")
        proxy.become("mute")
        with pytest.raises(TimeoutError):
            said(client, b"two")
        assert echo.told == b"onetwo"
        proxy.become("open")
        with contextlib.suppress(ConnectionError):
            assert client.recv(1024) == b""

"""Stand between the product and a store, and do to their connections what a bad network does.

One thread accepts, two carry each connection; a fault is a mode that all of them look at before every piece.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Literal

Mode = Literal["open", "cut", "stalled", "mute"]
PIECE = 1 << 16


class Proxy:
    """Listens on `port` of loopback and carries every connection to `target` there.

    Modes: `open`; `cut` (every connection is reset, the new ones too); `stalled` (nothing moves, nothing
    ends); `mute` (what the product sends arrives, what the store answers is lost).
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._mode: Mode = "open"
        self._changed = threading.Condition()
        self._ends: set[socket.socket] = set()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"proxy of {target}", daemon=True).start()

    def become(self, mode: Mode) -> None:
        """Change the mode. Connections that lost something cannot go on, so they are reset."""
        with self._changed:
            before, self._mode = self._mode, mode
            self._changed.notify_all()
            if mode == "cut" or before == "mute":
                self._reset_all()

    def close(self) -> None:
        """End every connection and stop listening."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._reset_all()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._mode == "cut":
                _reset(client)
                continue
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        try:
            store = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            _reset(client)
            return
        store.settimeout(None)
        for end in (client, store):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            self._ends |= {client, store}
        threading.Thread(target=self._carry, args=(store, client, True), daemon=True).start()
        self._carry(client, store, answers=False)

    def _carry(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while piece := source.recv(PIECE):
                with self._changed:
                    while self._mode == "stalled" and not self._closed:
                        self._changed.wait()
                    if self._mode == "mute" and answers:
                        continue
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._changed:
            ended = {source, sink} & self._ends
            self._ends -= ended
        for end in ended:
            end.close()

    def _reset_all(self) -> None:
        ends, self._ends = self._ends, set()
        for end in ends:
            _reset(end)


def _reset(end: socket.socket) -> None:
    """Close with a reset, as a host does whose connection table was lost. Wakes whoever reads from it."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()

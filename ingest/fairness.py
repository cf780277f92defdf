"""Share one process among its connections: turns for pipelined requests, bytes that are held, places for each peer.

A connection may send many requests without waiting for answers, leave its answers unread, or be one of thousands
from one address. Each of these would let one caller take what all others need.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl

MOST_TURNS = 2  # pipelined requests that are carried out at once, of all connections together
MOST_HELD_BYTES = 64 * 2**20
PATIENCE_SECONDS = 1.0  # so long a reader may take nothing before it can be cut to make room


class Turns:
    """Carry out requests that waited behind another one in the order in which they were ready, a few at once.

    The first request of a connection never waits here, so who sends one at a time is not behind who sends
    hundreds.
    """

    def __init__(self, most: int = MOST_TURNS) -> None:
        self._most, self._running = most, 0
        self._waiting: deque[Callable[[], bool]] = deque()

    def ask(self, start: Callable[[], bool]) -> None:
        """Call `start` when it has its turn; it returns False where there is nothing to be started any more."""
        self._waiting.append(start)
        self._go()

    def end(self) -> None:
        """Give a turn back."""
        self._running -= 1
        self._go()

    def _go(self) -> None:
        while self._waiting and self._running < self._most:
            self._running += 1
            if not self._waiting.popleft()():
                self._running -= 1


class Holder(Protocol):
    """A connection that holds bytes."""

    def abort(self) -> None:
        """Close at once; what was not taken is lost."""
        ...


class HeldBytes:
    """Count what connections hold in memory: answers that are not taken, requests that are not begun.

    `monotonic` gives seconds.
    """

    def __init__(self, monotonic: Callable[[], float], most: int = MOST_HELD_BYTES) -> None:
        self._monotonic, self.most, self.total = monotonic, most, 0
        self._held: dict[Holder, tuple[int, float]] = {}

    def hold(self, holder: Holder, size: int) -> None:
        """Note that a connection holds so many bytes from now on; 0 for nothing any more."""
        self.total += size - self._held.get(holder, (0, 0.0))[0]
        if size:
            self._held[holder] = size, self._held.get(holder, (0, self._monotonic()))[1]
        else:
            self._held.pop(holder, None)

    def has_room(self) -> bool:
        """Tell whether another request may begin, after cutting those that have held much for long."""
        if self.total <= self.most:
            return True
        long_ago = self._monotonic() - PATIENCE_SECONDS
        for holder, (_, since) in sorted(self._held.items(), key=lambda one: one[1], reverse=True):
            if self.total <= self.most:
                break
            if since <= long_ago:
                self.hold(holder, 0)
                holder.abort()
        return self.total <= self.most


class Peers:
    """Count the connections of each address. `most` 0 sets no bound."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._here: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count a connection; False where its address has more than its share."""
        self._here[address] += 1
        return not self._most or self._here[address] <= self._most

    def leave(self, address: str) -> None:
        """Count one less."""
        self._here[address] -= 1
        if not self._here[address]:
            del self._here[address]


class Flow(FlowControl):
    """uvicorn's flow control; while requests are left unparsed, nobody else lets the connection be read."""

    holding = False

    def hold(self) -> None:
        """Read no further until `release`."""
        self.holding = True
        self.pause_reading()

    def release(self) -> None:
        """Read on."""
        self.holding = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless requests are left unparsed."""
        if not self.holding:
            super().resume_reading()

"""Count bad tokens and bad passwords, by the address they come from and in all, and answer 429 beyond a limit.

A fixed window of a minute, in the memory of one process: what has to be slowed down is thousands a second, and a
count that all processes share would ask Redis for each guess. Nobody is locked out by it, since a credential is
judged before it is counted.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ingest.errors import TooManyRequestsError

WINDOW_SECONDS = 60.0


class FailedLogins:
    """The failures of this minute. A limit of 0 is none."""

    def __init__(self, *, per_peer: int, of_all: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_peer, self._of_all, self._clock = per_peer, of_all, clock
        self._ends = 0.0
        self._all = 0
        self._by_network: Counter[str] = Counter()

    def count(self, peer: Sequence[Any] | None) -> None:
        """Count a failure of a peer (address and port). Raises TooManyRequestsError where there were too many."""
        now = self._clock()
        if now >= self._ends:
            self._ends, self._all = now + WINDOW_SECONDS, 0
            self._by_network.clear()
        self._all += 1
        too_many = 0 < self._of_all < self._all
        if self._per_peer and not too_many:  # so no more addresses are kept than failures are allowed
            network = network_of(str(peer[0]) if peer else "")
            self._by_network[network] += 1
            too_many = self._by_network[network] > self._per_peer
        if too_many:
            error = TooManyRequestsError(self._ends - now)
            error.headers = (*error.headers, ("Connection", "close"))  # each further guess costs a new one
            raise error


def network_of(host: str) -> str:
    """Return what one peer can choose its address from: a host has one of version 4, and 2**64 of version 6."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))

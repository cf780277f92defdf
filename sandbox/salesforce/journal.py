"""Record calls as they are answered, the latest thousand: what was asked, by whom, and what came of it.

A recorded call holds no token, no secret and no body.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

KEPT = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One call that was answered."""

    number: int
    at: float  # epoch seconds
    method: str
    path: str
    query: str | None  # the SOQL of a query
    client_id: str | None
    status: int
    fault: str | None
    milliseconds: int  # until it could be answered; not what it took to send


@dataclass(slots=True)
class Journal:
    """The latest calls, oldest first."""

    _entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(  # noqa: PLR0913 - all of it by keyword
        self,
        *,
        method: str,
        path: str,
        query: str | None,
        client_id: str | None,
        status: int,
        fault: str | None,
        began: float,
    ) -> None:
        """Record one call that is about to be answered; `began` is on the monotonic clock."""
        milliseconds = int((time.monotonic() - began) * 1000)
        with self._lock:
            self._entries.append(
                Entry(
                    next(self._numbers),
                    time.time(),
                    method,
                    path,
                    query,
                    client_id,
                    status,
                    fault,
                    milliseconds,
                )
            )

    def shown(self) -> list[dict[str, Any]]:
        """List what is kept."""
        with self._lock:
            return [asdict(entry) for entry in self._entries]

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()

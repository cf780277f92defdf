"""Remember how an organization's calls have fared lately, to tell a bad answer from a bad day.

A reset or a 503 about one record counts an attempt; the same as part of an outage must not, or an hour of
outage would fail every import. Other calls of the organization tell the two apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RECENT_SECONDS = 30.0
SUSPECTS = 3
"""So many different records in trouble, with no success between them, are an outage."""


class Standing:
    """What this process knows about one organization; shared by its threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._succeeded_at: float | None = None
        self._suspects: set[str] = set()

    def succeeded(self) -> None:
        """Note that an authenticated call was answered."""
        with self._lock:
            self._succeeded_at = self._monotonic()
            self._suspects.clear()

    def others_succeed(self, record_id: str, *, answers: Callable[[], bool]) -> bool:
        """Note that a record's call came to grief, and tell whether the organization is well otherwise.

        It is if another call succeeded within half a minute or, nothing being known, if `answers` (a call
        of its own, made only then) says that the organization still answers; in either case only while few
        records are in trouble.
        """
        with self._lock:
            if len(self._suspects) < SUSPECTS:  # which they are no longer matters beyond that
                self._suspects.add(record_id)
            if len(self._suspects) >= SUSPECTS:
                return False
            at = self._succeeded_at
            if at is not None and self._monotonic() - at <= RECENT_SECONDS:
                return True
        return answers()

"""Be gone by a certain moment, whatever still waits for a store.

A call to a store that accepts and says nothing cannot be interrupted, and a promise to be gone in ten seconds
must not rest on each call that somebody will ever write. What this cuts off is what a kill would cut off:
claims run out, and the sweeper asks again.
"""

from __future__ import annotations

import os
import threading

import structlog

log = structlog.get_logger(__name__)


def gone_within(seconds: float) -> None:
    """End this process after so many seconds, unless it has ended by itself before. May be called by a signal handler."""
    last = threading.Timer(seconds, _go)
    last.daemon = True
    last.start()


def _go() -> None:
    try:
        log.warning("stopped before everything was given back")
    finally:  # also where nobody reads what is logged
        os._exit(0)

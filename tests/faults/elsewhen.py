"""Start a process of the product that lives in another day; see `crashing.py`, through which it starts.

Whatever asks Python for the time is told CLOCK_OFFSET seconds more; the monotonic clock is nobody's to set and
stays. libfaketime cannot serve here: with Python 3.11 and later it either breaks `time.sleep` or stops every
wait with a time limit, because it does not know the call (`sem_clockwait`) by which Python waits.
"""

from __future__ import annotations

import datetime as dates
import os
import sys
import time

import dramatiq.common

OFFSET = "CLOCK_OFFSET"
_offset = float(os.environ.get(OFFSET, "0"))
_real_time, _real_time_ns = time.time, time.time_ns


class ShiftedDatetime(dates.datetime):
    """A datetime whose `now` is not now."""

    @classmethod
    def now(cls, tz: dates.tzinfo | None = None) -> ShiftedDatetime:
        return cls.fromtimestamp(_real_time() + _offset, tz)


def shift() -> None:
    """Set the clock of this process. Before the product is imported, which takes its `datetime` by name."""
    time.time = lambda: _real_time() + _offset
    time.time_ns = lambda: _real_time_ns() + int(_offset * 1e9)
    dates.datetime = ShiftedDatetime
    dramatiq.common.time = time.time  # it has taken `time` by name, and is there first in its own workers


def start() -> None:
    """Start a worker, as `workers.main:start` does."""
    shift()
    from tests.faults import crashing

    crashing.start()


if __name__ == "__main__":
    shift()
    from tests.faults import crashing

    sys.exit(crashing.run(sys.argv[1]))

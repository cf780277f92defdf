"""End this process when its parent is gone.

dramatiq's workers outlive a killed master: nobody would restart, stop or count them any more. A worker whose
parent has changed gives its work back and ends within seconds; the supervisor's new master starts others.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
GRACE_SECONDS = 3.0


def watch_parent(interrupt: Callable[[], None]) -> threading.Thread:
    """Begin to watch. When the parent is gone, `interrupt` is called, then the process ends in any case."""
    thread = threading.Thread(target=_watch, args=(os.getppid(), interrupt), name="orphans", daemon=True)
    thread.start()
    return thread


def _watch(parent: int, interrupt: Callable[[], None]) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    # Standard error may be a pipe to the dead parent: nothing may depend on being able to write there.
    interrupt()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)

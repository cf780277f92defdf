"""End this process when its parent is gone.

dramatiq's workers outlive a killed master: nobody would restart, stop or count them any more. A worker whose
parent has gone gives its work back and ends within seconds; the supervisor's new master starts others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable

LOOK_SECONDS = 0.5
GRACE_SECONDS = 3.0


class ParentWatch:
    """Watches the parent from the first moment of this process. `interrupt` is called once it is gone."""

    def __init__(self) -> None:
        self.interrupt: Callable[[], None] = _nothing

    def start(self) -> None:
        """Begin to watch. When the parent is gone, `interrupt` is called, then the process ends in any case."""
        threading.Thread(target=self._watch, args=(_parent(),), name="orphans", daemon=True).start()

    def _watch(self, parent: int) -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        # Standard error may be a pipe to the dead parent: nothing may depend on being able to write there.
        try:
            self.interrupt()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(GRACE_SECONDS)
        finally:
            os._exit(1)


def _parent() -> int:
    """Return the number of the process that started this one, as that one wrote it down before it did.

    To ask for the parent now would be too late: one that was killed while this process loaded its modules has
    another number in its place, which would be watched for ever.
    """
    parent = multiprocessing.parent_process()
    return os.getppid() if parent is None or parent.pid is None else parent.pid


def _nothing() -> None:
    """Have nothing to interrupt yet."""

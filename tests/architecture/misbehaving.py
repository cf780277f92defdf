"""Do at import time what no module may do; imported only by the probe of test_import_effects, in a process
of its own.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
from pathlib import Path

import dramatiq

PAGE = Path(__file__).read_bytes()
HOME = os.environ.get("HOME")
SOCKET = socket.socket()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


with warnings.catch_warnings():
    warnings.simplefilter("ignore")

    @dramatiq.actor
    def stray() -> None:
        """Bind whatever broker there is: without one, a default of dramatiq's own choosing."""

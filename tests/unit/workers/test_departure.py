"""A process is gone in time, whatever it waits for."""

from __future__ import annotations

import socket
import subprocess
import sys

WAITING = """
import socket, sys
from workers.departure import gone_within

silent = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
gone_within(0.3)
silent.recv(1)
sys.exit(3)
"""


def test_a_process_that_waits_for_a_silent_store_is_gone() -> None:
    """It ends in good order as far as whoever started it can see, and says that something was left."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ended = subprocess.run(
            [sys.executable, "-c", WAITING, str(silent.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert "stopped before everything was given back" in ended.stdout + ended.stderr

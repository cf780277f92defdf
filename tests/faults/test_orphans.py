"""No worker outlives its master, whenever that one is killed: while its workers start, or long after."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox import processes
from tests.journey.sandboxes import eventually, is_alive

GONE_SECONDS = 15.0  # threefold what a worker takes to notice and to end


def family_of(session: int) -> set[int]:
    """Return the numbers of all processes of a session: the master, its workers and their decoders."""
    found = set()
    for row in processes.table():
        try:
            if os.getsid(row.pid) == session and is_alive(row.pid):
                found.add(row.pid)
        except ProcessLookupError:
            continue
    return found


@pytest.mark.parametrize("seconds", [0.2, 0.5, 0.8, 1.1, 1.4, 1.8, 2.4, 4.0])
def test_a_master_that_is_killed_leaves_nobody(
    tmp_path: Path, mongodb_url: str, redis_url: str, seconds: float
) -> None:
    """Killed at any moment of its workers' start, it is followed by each of them and by all that they started."""
    words = ["dramatiq", "workers.main:start", "--queues", "render", "--processes", "2", "--threads", "1"]
    master = subprocess.Popen(
        [str(Path(sys.executable).with_name(words[0])), *words[1:]],
        env={
            **os.environ,
            "MONGODB_URL": mongodb_url,
            "REDIS_URL": redis_url,
            "BLOBS_URL": (tmp_path / "blobs").as_uri(),
            "SPOOL_DIR": str(tmp_path / "spool"),
            "TOKEN_SECRETS": "9f" * 16 + "c4" * 16,
            "CREDENTIALS_KEYS": base64.urlsafe_b64encode(b"no one's key, for this test only").decode(),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        time.sleep(seconds)
        master.send_signal(signal.SIGKILL)
        master.wait(10)
        eventually(lambda: not family_of(master.pid), GONE_SECONDS)
    finally:
        for pid in family_of(master.pid):
            os.kill(pid, signal.SIGKILL)

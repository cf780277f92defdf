"""A killed worker takes its decoding processes with it, and its parent process never touches a picture."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.workers.pictures import quadrants, saved
from tests.unit.workers.processes import alive, children_of, eventually, stopped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

ROOT = Path(__file__).resolve().parents[3]
WORKER = """
import json, sys, threading
from workers.decoding.client import Decoder
decoder = Decoder()
decoder.start()
for line in sys.stdin:
    with open(line.strip(), "rb") as original:
        print(json.dumps({"server": decoder.server_pid}), flush=True)
        print(decoder.render(original, stopping=threading.Event()).width, flush=True)
"""


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[str]]:
    """A process that renders the files named on its standard input."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def _ask(worker: subprocess.Popen[str], picture: Path) -> int:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{picture}\n")
    worker.stdin.flush()
    return int(json.loads(worker.stdout.readline())["server"])


@pytest.mark.parametrize("at_work", [False, True])
def test_a_killed_worker_leaves_no_orphan(
    worker: subprocess.Popen[str], tmp_path: Path, at_work: bool
) -> None:
    """Neither the fork server nor a child in the middle of a picture outlives it, and no file is left."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(saved(quadrants((500, 300)), "PNG"))
    server = _ask(worker, picture)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "500\n"
    (child,) = children_of(server)
    if at_work:
        os.kill(child, signal.SIGSTOP)
        assert eventually(lambda: stopped(child))
        _ask(worker, picture)
    worker.kill()
    assert eventually(lambda: not alive(server) and not alive(child), 5)
    assert list(tmp_path.iterdir()) == [picture]


def test_the_worker_itself_never_loads_a_decoder() -> None:
    """Pillow lives in the children only: what hostile bytes could reach, no secret is near."""
    code = (
        "import sys, workers.decoding.client, workers.stages.render;"
        "sys.exit(any(name.split('.')[0] in ('PIL', 'pillow_heif') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

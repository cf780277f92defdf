"""A short storm over the whole product, as the long ones of `make chaos` are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox import processes
from tests.journey.sandboxes import ROOT


def command(*options: str, folder: Path) -> subprocess.Popen[str]:
    """Start the harness as a person does, with its folders below one of ours."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chaos", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.timeout(300)
def test_nothing_is_lost_in_a_short_storm(tmp_path: Path) -> None:
    """Eight faults, a blackout among them, while sixty imports are posted: every number holds, nothing stays."""
    file = tmp_path / "report.json"
    folder = tmp_path / "folder"
    folder.mkdir()
    options = ("--seed", "1", "--imports", "60", "--minutes", "0.75", "--json", str(file))
    told, _ = (process := command(*options, folder=folder)).communicate()
    assert process.returncode == 0, told
    (report,) = json.loads(file.read_text())["runs"]
    assert [fell["kind"] for fell in report["faults"]][-1] == "blackout"
    assert sum(fell["while_posting"] for fell in report["faults"]) >= 7
    assert all(fell["kind"] in told for fell in report["faults"]), "the timeline names each fault"
    assert report["answers"]["POST 200"] >= 60
    assert not any(folder.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_run_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a run ends every process of it, removes its folder, and exits with 130."""
    process = command("--seed", "1", "--imports", "30", "--minutes", "2", folder=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if "posting 30 imports" in line:
            break
    time.sleep(4)  # amid the first posts
    (data,) = tmp_path.iterdir()
    status = data.stat()
    mark = f"{status.st_dev:x}-{status.st_ino:x}"
    assert processes.bearing(mark), "the product runs"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not processes.bearing(mark)
    assert not any(tmp_path.iterdir())

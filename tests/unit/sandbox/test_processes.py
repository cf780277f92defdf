"""Ending a group: masters are asked once, then whom they leave behind, and the deaf are killed."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox import processes

# Writes a line for each SIGTERM it gets; the master passes the request on and waits, as dramatiq's does.
COUNTING = """
import os, signal, subprocess, sys, time
part, file = sys.argv[1:]
child = subprocess.Popen([sys.executable, __file__, "worker", file]) if part != "worker" else None
def told(number, frame):
    with open(file, "a") as out:
        out.write(part + "\\n")
    if part == "master":
        child.terminate()
        child.wait()
    if part == "worker":
        time.sleep(0.3)
    if part != "deaf":
        os._exit(0)
signal.signal(signal.SIGTERM, told)
with open(file + ".up." + part, "w"):
    pass
while True:
    time.sleep(0.05)
"""


@pytest.mark.parametrize(
    ("part", "told"),
    [("master", ["master", "worker"]), ("careless", ["careless", "worker"]), ("deaf", ["deaf"])],
)
def test_each_is_asked_once(tmp_path: Path, part: str, told: list[str]) -> None:
    """Nobody is told twice (a dramatiq worker would drop its work), nobody is forgotten, nobody survives."""
    script, file = tmp_path / "counting.py", tmp_path / "told"
    script.write_text(COUNTING)
    with subprocess.Popen([sys.executable, script, part, file], start_new_session=True) as master:
        while not (Path(f"{file}.up.{part}").exists() and Path(f"{file}.up.worker").exists()):
            assert master.poll() is None
            time.sleep(0.02)
        processes.end(functools.partial(processes.in_groups, {master.pid}), seconds=2)
        assert processes.in_groups({master.pid}) == []
    assert file.read_text().split() == told


def test_same_process_under_another_parent() -> None:
    """A row is the same process whatever its parent is now, and another one with its number is not."""
    row = processes.Row(7, 2, 7, "boot/1")
    assert row == processes.Row(7, 1, 7, "boot/1")
    assert row != processes.Row(7, 2, 7, "boot/2")


def test_table_knows_us_and_only_the_living() -> None:
    """The table holds this process, and a child only while it lives, waited for or not."""
    me = {row.pid: row for row in processes.table()}[os.getpid()]
    assert me.parent == os.getppid()
    assert me.group == os.getpgrp()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert any(row.pid == child.pid and row.parent == me.pid for row in processes.table())
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not any(row.pid == child.pid for row in processes.table())


@pytest.mark.skipif(shutil.which("ps") is None, reason="this machine has no ps")
def test_ps_tells_the_same() -> None:
    """Where there is no /proc, `ps` gives the same rows."""
    told = {row.pid: row for row in processes._from_ps()}
    assert (told[os.getpid()].parent, told[os.getpid()].group) == (os.getppid(), os.getpgrp())
    assert told[os.getpid()] == {row.pid: row for row in processes._from_ps()}[os.getpid()]

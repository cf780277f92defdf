"""The registry lets one sandbox in, and ends exactly the processes that a killed one has left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.endings import Refused
from sandbox.folder import Folder
from sandbox.registry import Registry

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "world")
    folder.open()
    return folder


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        SLEEP, start_new_session=True, env={**os.environ, processes.MARK: "another"}
    ) as sleeper:
        yield sleeper
        sleeper.kill()


def say_nothing(_sentence: str) -> None:
    """Take what the registry tells people."""


def test_folder_is_held_by_one(folder: Folder) -> None:
    """A second registry on the same folder is refused by name until the first one lets go."""
    first, second = Registry(folder), Registry(folder)
    first.occupy()
    with pytest.raises(Refused, match=f"process {os.getpid()}"):
        second.occupy()
    first.release()
    second.occupy()
    second.release()


def test_recorded_orphan_is_ended(folder: Folder, sleeper: subprocess.Popen[bytes]) -> None:
    """A process that was written down and still runs is ended, and people are told."""
    registry, told = Registry(folder), list[str]()
    registry.write({"web": sleeper.pid, "sandbox": os.getpid()})
    registry.end_orphans(told.append)
    assert sleeper.wait(5) != 0
    assert len(told) == 1


def test_reused_number_is_spared(folder: Folder, sleeper: subprocess.Popen[bytes]) -> None:
    """A process that only has the number of one that was written down is none of ours."""
    registry = Registry(folder)
    registry.write({"web": sleeper.pid})
    listed = folder.path / "processes.json"
    kept = json.loads(listed.read_text())
    kept["processes"]["web"]["started"] = "another boot/1"
    listed.write_text(json.dumps(kept))
    registry.end_orphans(say_nothing)
    assert sleeper.poll() is None
    assert not listed.exists()


def test_copied_folder_spares_the_originals_processes(
    folder: Folder, sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """A copy of a folder in use brings a list of processes along that are not its own."""
    Registry(folder).write({"web": sleeper.pid})
    shutil.copytree(folder.path, tmp_path / "copy")
    copy = Folder(tmp_path / "copy")
    copy.open()
    Registry(copy).end_orphans(say_nothing)
    assert sleeper.poll() is None


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux tells another's environment")
def test_marked_process_is_ended_wherever_it_went(folder: Folder) -> None:
    """A process that was never written down, in a session of its own, is known by its environment."""
    environment = {**os.environ, processes.MARK: folder.mark}
    with subprocess.Popen(SLEEP, start_new_session=True, env=environment) as stray:
        Registry(folder).end_orphans(say_nothing)
        assert stray.wait(5) != 0


@pytest.mark.parametrize("text", ["", "not json", '{"world": "of someone else", "processes": {}}'])
def test_unreadable_list_is_no_list(folder: Folder, text: str) -> None:
    """A list that was cut short or is of another world stops no start."""
    (folder.path / "processes.json").write_text(text)
    Registry(folder).end_orphans(say_nothing)
    assert not (folder.path / "processes.json").exists()

"""The folder keeps what was decided, its secrets for their owner alone, and says clearly when it cannot."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from sandbox.endings import Refused
from sandbox.folder import Folder


def opened(path: Path) -> Folder:
    folder = Folder(path)
    folder.open()
    folder.read()
    return folder


def test_facts_survive(tmp_path: Path) -> None:
    """What one start has kept the next one knows."""
    opened(tmp_path / "deep" / "world").keep(organization_id="one", ports={"redis": 20001})
    again = opened(tmp_path / "deep" / "world")
    again.keep(user_id="two")
    assert opened(tmp_path / "deep" / "world").facts == {
        "organization_id": "one",
        "ports": {"redis": 20001},
        "user_id": "two",
    }


def test_secret_is_made_once(tmp_path: Path) -> None:
    """A secret is made at the first call and stays, in a file that only its owner can read."""
    made = iter(["first", "second"])
    file = opened(tmp_path).secret("token_secrets", lambda: next(made))
    assert opened(tmp_path).secret("token_secrets", lambda: next(made)).read_text() == "first"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def open_to_others(path: Path) -> list[str]:
    """Return what below a folder, itself included, others than its owner may read or enter."""
    return [str(one) for one in (path, *path.rglob("*")) if stat.S_IMODE(one.stat().st_mode) & 0o077]


def test_nobody_else_reads_what_callers_sent(tmp_path: Path) -> None:
    """The folder and everything in it is its owner's alone, also what an earlier start left open."""
    world = tmp_path / "world"
    (world / "redis" / "deep").mkdir(parents=True)
    for name in ("redis/appendonly.aof", "redis/deep/file", "env", "world.json"):
        (world / name).write_text("{}")
        (world / name).chmod(0o644)
    for folder in (world, world / "redis", world / "redis" / "deep"):
        folder.chmod(0o755)
    opened(world).keep(user_id="one")
    assert open_to_others(world) == []
    assert (world / "redis" / "deep" / "file").read_text() == "{}"


def test_a_folder_that_others_use_too_stays_theirs(tmp_path: Path) -> None:
    """`--data /tmp` closes our parts, and not the folder of everybody."""
    (tmp_path / "someone's").write_text("")
    tmp_path.chmod(0o755)
    folder = opened(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert open_to_others(folder.part("redis")) == []


def test_secret_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    """A kill in the middle of writing a secret leaves no half of it."""
    folder = opened(tmp_path)
    (folder.part("secrets") / "token_secrets.new").write_text("fir")
    assert folder.secret("token_secrets", lambda: "first").read_text() == "first"


def test_damaged_facts_are_told(tmp_path: Path) -> None:
    """A damaged world.json is a sentence that says what to do."""
    (tmp_path / "world.json").write_text("{")
    with pytest.raises(Refused, match="delete the folder"):
        opened(tmp_path)


def test_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """A path that is a file, or lies below one, cannot be a world."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "world"):
        with pytest.raises(Refused, match="cannot be written"):
            opened(path)


def test_copy_is_another_world(tmp_path: Path) -> None:
    """A copied folder has a mark of its own, a reopened one keeps it."""
    first = opened(tmp_path / "world")
    shutil.copytree(tmp_path / "world", tmp_path / "copy")
    assert opened(tmp_path / "world").mark == first.mark
    assert opened(tmp_path / "copy").mark != first.mark

"""`imports render` makes thumbnails of files at hand and says of each refused one why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from workers.operate import rendering
from workers.operate.command import app


def _run(*words: str) -> Result:
    """Run the verb with no setting at all: it needs none."""
    return CliRunner().invoke(app, ["render", *words])


def _json(*words: str, code: int = 0) -> list[dict[str, Any]]:
    result = _run(*words, "--json")
    assert result.exit_code == code, (result.output, result.exception)
    told: list[dict[str, Any]] = json.loads(result.stdout)
    return told


def _picture(path: Path, size: tuple[int, int] = (600, 400)) -> str:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, (200, 40, 40)).save(path)
    return str(path)


def test_pictures_and_refusals_are_told_in_the_order_of_the_files(tmp_path: Path) -> None:
    """Exit code 0 with a refused file among them; each output is where its path says, in the size it says."""
    good = _picture(tmp_path / "a.png")
    bad = tmp_path / "b.jpg"
    bad.write_bytes(b"no picture at all")
    empty = tmp_path / "c.jpg"
    empty.touch()
    told = _json(good, str(bad), str(empty), good, "--out", str(tmp_path / "out" / "deep"))
    assert [one["file"] for one in told] == [good, str(bad), str(empty), good]
    assert [one["code"] for one in told] == [None, "image_unsupported", "image_empty", None]
    assert (told[0]["width"], told[0]["height"], told[0]["format"]) == (600, 400, "PNG")
    assert (told[1]["width"], told[1]["outputs"]) == (None, [])
    assert told[1]["detail"]
    sizes = {output["name"]: (output["width"], output["height"]) for output in told[0]["outputs"]}
    assert sizes == {"large": (600, 400), "medium": (480, 320), "small": (160, 107)}
    for output in told[0]["outputs"]:
        with Image.open(output["path"]) as thumbnail:
            assert thumbnail.format == "JPEG"
            assert thumbnail.size == (output["width"], output["height"])


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    """`a/x.png` and `b/x.png` have thumbnails of their own, and a long name is cut to what fits."""
    first, second = _picture(tmp_path / "a" / "x.png", (60, 40)), _picture(tmp_path / "b" / "x.png", (40, 60))
    long = _picture(tmp_path / f"{'é' * 120}.png", (30, 30))
    told = _json(first, second, long, "--out", str(tmp_path / "out"))
    paths = [output["path"] for one in told for output in one["outputs"]]
    assert len(set(paths)) == 9
    for one in told:
        with Image.open(one["outputs"][0]["path"]) as thumbnail:
            assert thumbnail.size == (one["width"], one["height"])


def test_what_cannot_be_read_is_told_and_fails(tmp_path: Path) -> None:
    """A missing file, a folder and a pipe are no pictures; the others are rendered all the same."""
    os.mkfifo(tmp_path / "pipe")
    good = _picture(tmp_path / "a.png")
    words = (str(tmp_path / "missing"), str(tmp_path), str(tmp_path / "pipe"), good)
    told = _json(*words, "--out", str(tmp_path / "out"), code=1)
    assert [one["code"] for one in told] == [*[rendering.UNREADABLE] * 3, None]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """Exit code 1, nothing on standard output."""
    result = _run(_picture(tmp_path / "a.png"), "--out", "/proc/nowhere", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "/proc/nowhere" in result.stderr


def test_people_read_a_table(tmp_path: Path) -> None:
    """Format, size and thumbnails, or the reason."""
    bad = tmp_path / "b.jpg"
    bad.write_bytes(b"no picture at all")
    shown = _run(_picture(tmp_path / "a.png"), str(bad), "--out", str(tmp_path / "out")).stdout
    assert "600 x 400" in shown
    assert "small 160 x 107" in shown
    assert "image_unsupported" in shown


def test_ctrl_c_leaves_no_decoder_behind(tmp_path: Path) -> None:
    """In the midst of many pictures SIGINT ends the process and every child of it, without a traceback."""
    files = [_picture(tmp_path / "many" / f"{number}.png", (2000, 2000)) for number in range(60)]
    command = [sys.executable, "-m", "workers.operate", "render", *files * 5, "--out", str(tmp_path / "out")]
    env = {"PATH": os.environ["PATH"]}
    with subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert " of 300" in process.stderr.readline()
        below = _children(process.pid)
        assert below
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "Traceback" not in err
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


def _children(pid: int) -> list[int]:
    """Return the processes below one, however deep (Linux only; elsewhere the test has nothing to look at)."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    if not listed.exists():
        pytest.skip("the kernel does not list children")
    children = [int(child) for child in listed.read_text().split()]
    return children + [deeper for child in children for deeper in _children(child)]

"""`make setup` ends in a whole environment or in a sentence that says what to do, never in between.

Real runs of the real scripts in a checkout of their own, with a lock that is empty and a project that
builds itself, so that nothing is asked of any index.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "import-api"
version = "{version}"

[tool.ruff]
line-length = {width}
"""
BACKEND = """
import pathlib, time, zipfile

def _wheel(folder):
    here = pathlib.Path(__file__).parent
    (here / "building").touch()
    while (here / "slow").exists():
        time.sleep(0.05)
    name, info = "import_api-1-py3-none-any.whl", "import_api-1.dist-info"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("import_api_here.pth", str(here))
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: import-api\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name

def build_editable(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder)

build_wheel = build_editable
"""


@pytest.fixture
def checkout() -> Iterator[Path]:
    """Yield a small checkout with our Makefile and scripts, which any user may read."""
    folder = Path(tempfile.mkdtemp(prefix="setup-"))
    folder.chmod(0o755)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements.lock").write_text("# nothing\n", encoding="utf-8")
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    write_project(folder)
    yield folder
    shutil.rmtree(folder)


def write_project(folder: Path, *, version: str = "1", width: int = 100) -> None:
    (folder / "pyproject.toml").write_text(PROJECT.format(version=version, width=width), encoding="utf-8")


def setup(folder: Path, *, path: str | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `make setup` with nothing of this process's environment but the path, and without a home."""
    return subprocess.run(
        ["make", "setup", *(f"{name}={value}" for name, value in environ.items())],
        cwd=folder,
        env={"PATH": path or os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def fake_pythons(folder: Path, answers: dict[str, str]) -> str:
    """Return a path on which each Python that set-up would look for is one that answers as told."""
    (folder / "bin").mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        command = folder / "bin" / name
        command.write_text(f"#!/bin/sh\n{answers.get(name, 'exit 127')}\n", encoding="utf-8")
        command.chmod(0o755)
    return f"{folder / 'bin'}:{os.environ['PATH']}"


def test_an_environment_is_made_once(checkout: Path) -> None:
    """The first set-up makes it and says so; the next finds nothing to do and says nothing."""
    first = setup(checkout, PYTHON=BASE_PYTHON)
    assert first.returncode == 0, first.stderr
    assert "Making .venv" in first.stderr
    assert first.stdout == ""  # `make run` has one line of JSON there
    marker = checkout / ".venv" / "marker"
    marker.touch()

    write_project(checkout, width=120)
    second = setup(checkout)

    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert marker.exists()


def test_a_changed_project_and_a_changed_lock_are_noticed(checkout: Path) -> None:
    """A changed project is installed again into the same environment; a changed lock makes a new
    one. Either way the Python that was once named goes on serving."""
    setup(checkout, PYTHON=BASE_PYTHON)
    marker = checkout / ".venv" / "marker"
    marker.touch()

    write_project(checkout, version="2")
    project = setup(checkout)
    assert project.returncode == 0, project.stderr
    assert "Installing the project" in project.stderr
    assert marker.exists()

    (checkout / "requirements.lock").write_text("# something\n", encoding="utf-8")
    lock = setup(checkout)
    assert lock.returncode == 0, lock.stderr
    assert f"Making .venv with Python {platform.python_version()}" in lock.stderr
    assert not marker.exists()


def test_an_interrupted_setup_is_never_taken_as_done(checkout: Path) -> None:
    """Killed in its last step, it leaves an environment that the next set-up does not trust, but ends."""
    (checkout / "slow").touch()
    killed = subprocess.Popen(
        ["make", "setup", f"PYTHON={BASE_PYTHON}"],
        cwd=checkout,
        env={"PATH": os.environ["PATH"]},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while not (checkout / "building").exists():
        assert time.monotonic() < until, "the project was never built"
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(10)
    (checkout / "slow").unlink()

    assert (checkout / ".venv" / "bin" / "python").exists()
    ready = [str(checkout / ".venv" / "bin" / "python"), "scripts/environment.py", "--is-ready"]
    assert subprocess.run(ready, cwd=checkout, check=False).returncode == 1
    again = setup(checkout)
    assert again.returncode == 0, again.stderr
    assert subprocess.run(ready, cwd=checkout, check=False).returncode == 0


def test_a_long_step_shows_that_it_lives(checkout: Path, tmp_path: Path) -> None:
    """While a step takes its time without a word, set-up says which one it is and how long it has taken."""
    (checkout / "slow").touch()
    log = tmp_path / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            ["make", "setup", f"PYTHON={BASE_PYTHON}"],
            cwd=checkout,
            env={"PATH": os.environ["PATH"]},
            stderr=out,
            start_new_session=True,
        ) as setting_up,
    ):
        until = time.monotonic() + 60
        while log.read_text().count("  still installing the project: ") < 2:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        (checkout / "slow").unlink()
        assert setting_up.wait(60) == 0
    assert log.read_text().endswith("Set-up is done.\n")


def test_an_environment_of_unknown_making_is_made_anew(checkout: Path) -> None:
    """A `.venv` that does not say what it was made from is half of one, whatever is in it."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(BASE_PYTHON)
    answer = setup(checkout, PYTHON=BASE_PYTHON)
    assert answer.returncode == 0, answer.stderr
    assert "Making .venv" in answer.stderr


def test_a_package_that_cannot_be_had_is_explained(checkout: Path) -> None:
    """When pip fails, the last words are ours and the environment counts for nothing."""
    row = "no-such-package-of-ours==1 --hash=sha256:" + "0" * 64
    (checkout / "requirements.lock").write_text(f"--no-index\n{row}\n", encoding="utf-8")
    answer = setup(checkout, PYTHON=BASE_PYTHON)
    assert answer.returncode != 0
    assert "could not be installed: pip says why above" in answer.stderr
    assert not (checkout / ".venv" / "made-from.json").exists()


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({}, "Python 3.11, 3.12 or 3.13 is needed, and none was found."),
        ({"python3": "echo 3.9"}, "Found: python3 is Python 3.9."),
        ({"python3": "echo 3.14"}, "no wheel for 3.14 yet"),
        ({"python3": "case $2 in *ensurepip*) exit 1;; *) echo 3.11;; esac"}, "apt install python3.11-venv"),
    ],
    ids=["none", "too old", "too new", "without venv"],
)
def test_a_python_that_does_not_serve_is_named(
    checkout: Path, answers: dict[str, str], sentence: str
) -> None:
    """Whoever has the wrong Python reads which ones were found, what is wrong with them and what to do."""
    answer = setup(checkout, path=fake_pythons(checkout, answers))
    assert answer.returncode != 0
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("/no/such/python", "/no/such/python cannot be used: there is no such program."),
        ("python3.12", "python3.12 cannot be used: it does not start (exit code 127: pyenv: not installed)."),
        ("python3.11", "python3.11 cannot be used: it does not start (exit code 3)."),
        ("python3.13", "python3.13 is Python 3.9."),
    ],
    ids=["missing", "a shim that fails", "silent", "too old"],
)
def test_the_python_that_was_asked_for_is_named(checkout: Path, python: str, sentence: str) -> None:
    """Whoever names a Python that does not serve reads its name and what is wrong with it; none is taken instead."""
    shim = "echo 'first line' >&2; echo 'pyenv: not installed' >&2; exit 127"
    answers = {"python3.11": "exit 3", "python3.12": shim, "python3.13": "echo 3.9"}
    answer = setup(checkout, path=fake_pythons(checkout, answers), PYTHON=python)
    assert answer.returncode != 0
    assert "PYTHON names none" in answer.stderr
    assert sentence in answer.stderr
    assert not (checkout / ".venv").exists()


def test_another_users_environment_is_explained(checkout: Path) -> None:
    """Where `.venv` stands on a Python that this user may not reach, a sentence says so and nothing is removed."""
    theirs = checkout / "theirs"
    theirs.mkdir()
    (theirs / "python").symlink_to(BASE_PYTHON)
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(theirs / "python")
    (checkout / ".venv" / "made-from.json").write_text("{}", encoding="utf-8")
    checkout.chmod(0o777)
    theirs.chmod(0)
    # Everything is read before the user is changed: this Python may be out of the other one's reach as well.
    as_another = (
        "import contextlib, fcntl, hashlib, json, os, pkgutil, runpy, shutil, subprocess, sys, threading, tomllib\n"
        "from pathlib import Path\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        "runpy.run_path('scripts/environment.py', run_name='__main__')\n"
    )
    answer = subprocess.run(
        [BASE_PYTHON, "-c", as_another], cwd=checkout, capture_output=True, text=True, check=False, timeout=60
    )
    theirs.chmod(0o755)
    assert answer.returncode == 1
    assert f"made by another user with {theirs / 'python'}, which you may not start" in answer.stderr
    assert "clone of your own" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert (checkout / ".venv" / "made-from.json").exists()


def test_a_version_manager_that_refuses_is_passed_over(checkout: Path) -> None:
    """A `python3` that exists and will not start is no reason to stop: the next one by name is used."""
    path = fake_pythons(checkout, {"python3": "exit 1", "python3.12": f'exec {BASE_PYTHON} "$@"'})
    answer = setup(checkout, path=path)
    assert answer.returncode == 0, answer.stderr


def test_a_folder_that_cannot_be_written_is_explained(checkout: Path) -> None:
    """In somebody else's folder, set-up says so instead of a traceback."""
    checkout.chmod(0o555)
    user = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
    try:
        probe = subprocess.run(
            [
                "/usr/bin/python3",
                "-c",
                "import ensurepip, sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)))",
            ],
            check=False,
            capture_output=True,
            **user,
        )  # type: ignore[call-overload]
        served = probe.returncode == 0
    except OSError:
        served = False
    if not served:
        pytest.skip("needs a Python in /usr/bin that another user can start")
    answer = subprocess.run(
        ["make", "setup", "PYTHON=/usr/bin/python3"],
        cwd=checkout,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **user,
    )  # type: ignore[call-overload]
    checkout.chmod(0o755)
    assert answer.returncode != 0
    assert f"{checkout} cannot be written" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_make_explains_itself() -> None:
    """`make` alone, without any set-up, tells every target that there is."""
    bare = {"PATH": os.environ["PATH"]}  # under `make test`, make would take itself for a part of that run
    answer = subprocess.run(["make"], cwd=ROOT, env=bare, capture_output=True, text=True, check=True)
    told = {line.split()[1] for line in answer.stdout.splitlines()}
    (phony,) = (
        line
        for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
        if line.startswith(".PHONY")
    )
    assert told == set(phony.split()[1:])

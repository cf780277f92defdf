"""Make `.venv/` from the lock, or find at once that nothing changed. Run by `scripts/setup.sh`.

What `.venv/` was made from is written into it as the very last step (`.venv/made-from.json`), so an
environment whose making was interrupted is never taken for a whole one: it is made anew. Only Python's
own library is used, since nothing else is there yet.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "made-from.json"
SILENCE = 1.7  # seconds after which a person is told what is waited for: below two


class SetupError(Exception):
    """Set-up cannot go on; the text says why and what to do."""


def wanted() -> dict[str, str]:
    """Return the digests of everything an environment is made from.

    `packages`: the lock, this Python and this folder (an environment cannot be moved). `project`: what
    the editable install reads, so that a changed linter setting costs nothing.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    built_from = {
        "build-system": project["build-system"],
        "project": project["project"],
        "setuptools": project.get("tool", {}).get("setuptools"),
    }
    lock = (ROOT / "requirements.lock").read_bytes()
    return {
        "packages": _digest(lock, sys.version.encode(), str(ROOT).encode()),
        "project": _digest(json.dumps(built_from, sort_keys=True).encode()),
    }


def made_from() -> dict[str, str]:
    """Return what the present environment says it was made from: nothing, if it is not whole.

    Raises SetupError where another user has made it with a Python that this one may not reach. It may well be
    whole for them, so it is not ours to make anew.
    """
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    try:
        is_there = PYTHON.exists()
    except PermissionError:
        raise SetupError(
            f"{VENV} was made by another user with {os.readlink(PYTHON)}, which you may not start. "
            "Work in a clone of your own, or have .venv removed (make clean) and made again with a Python "
            "that you both may start: make setup PYTHON=/usr/bin/python3"
        ) from None
    return stamp if isinstance(stamp, dict) and is_there else {}


def main() -> int:
    """Bring `.venv/` up to date, or with `--is-ready` only tell by the exit code whether it is."""
    try:
        if "--is-ready" in sys.argv[1:]:
            return 0 if made_from() == wanted() else 1
        prepare()
    except SetupError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("Set-up was interrupted; the next one begins again.")
        return 130
    return 0


def prepare() -> None:
    """Make what is missing, one set-up at a time. Raises SetupError."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        _wait_for_turn(folder)
        target = wanted()
        made = made_from()
        if made == target:
            return
        if made.get("packages") != target["packages"]:
            _make_packages()
        _install_project(target)
    finally:
        os.close(folder)


def _wait_for_turn(folder: int) -> None:
    """Hold the checkout's lock; it is the kernel's, so a killed set-up leaves nothing to clean up."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("Another set-up is running in this folder; waiting for it.")
        with _waiting("waiting for the other set-up"):
            fcntl.flock(folder, fcntl.LOCK_EX)
    except OSError:
        return  # a file system without locks: two set-ups at once are then on their own


def _make_packages() -> None:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if not os.access(ROOT, os.W_OK):
        raise SetupError(_UNWRITABLE)
    _say(f"Making .venv with Python {version} and the locked packages: about a minute, once.")
    try:
        STAMP.unlink(missing_ok=True)
        if VENV.is_dir() and not VENV.is_symlink():
            with _waiting("removing the old .venv"):
                shutil.rmtree(VENV)
    except OSError as error:
        raise _unwritable(error) from None
    # This may be the Python of the very environment that was just removed: the one below it makes the new one.
    python = getattr(sys, "_base_executable", sys.executable)
    _run(
        *(python, "-I", "-m", "venv", str(VENV)),
        doing="making the virtual environment",
        failed="The virtual environment could not be made.",
    )
    _run(
        *(str(PYTHON), "-I", "-m", "pip", "install", "--require-hashes"),
        *("-r", str(ROOT / "requirements.lock")),
        doing="installing the locked packages",
        failed="The locked packages could not be installed: pip says why above. "
        "Is the package index within reach, and is there room on the disk?",
    )


def _install_project(target: dict[str, str]) -> None:
    """Install the project in place. Until the stamp is whole again, the next set-up repeats this."""
    _say("Installing the project itself.")
    try:
        STAMP.write_text(json.dumps({"packages": target["packages"]}), encoding="utf-8")
        _run(
            *(str(PYTHON), "-I", "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps"),
            *("--editable", str(ROOT)),
            doing="installing the project",
            failed="The project could not be installed: pip says why above.",
        )
        beside = STAMP.with_suffix(".new")
        beside.write_text(json.dumps(target), encoding="utf-8")
        beside.replace(STAMP)
    except OSError as error:
        raise _unwritable(error) from None
    _say("Set-up is done.")


def _run(*command: str, doing: str, failed: str) -> None:
    """Run a command; all it says goes to standard error, since standard output is for what `make run` prints.

    Settings that would lead pip out of `.venv` are put aside.
    """
    aside = (
        "PYTHONHOME",
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_REQUIRE_VIRTUALENV",
        "__PYVENV_LAUNCHER__",
    )
    environ = {name: value for name, value in os.environ.items() if name not in aside}
    environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    with (
        _waiting(doing) as show,
        subprocess.Popen(  # noqa: S603 - our own words
            command, env=environ, cwd=ROOT, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while process.stdout is not None and (said := process.stdout.read(1 << 16)):
                show(said)
        except BaseException:  # an interrupted set-up leaves no pip running
            process.kill()
            raise
    if process.returncode != 0:
        raise SetupError(failed)


@contextlib.contextmanager
def _waiting(doing: str) -> Iterator[Callable[[bytes], None]]:
    """Say what is done and for how long already, whenever nothing was shown for two seconds.

    Gives what shows a command's own words: pip installs dozens of packages without any.
    """
    began = shown = time.monotonic()
    over = threading.Event()

    def show(said: bytes) -> None:
        nonlocal shown
        shown = time.monotonic()
        sys.stderr.buffer.write(said)
        sys.stderr.buffer.flush()

    def give_signs() -> None:
        while not over.wait(0.1):
            if time.monotonic() - shown >= SILENCE:
                show(f"  still {doing}: {time.monotonic() - began:.0f} s\n".encode())

    signs = threading.Thread(target=give_signs, daemon=True)
    signs.start()
    try:
        yield show
    finally:
        over.set()
        signs.join()


_UNWRITABLE = (
    f"{ROOT} cannot be written, and .venv/ is made in it. "
    "Clone into a folder of your own, or make this one writable for you."
)


def _unwritable(error: OSError) -> SetupError:
    return SetupError(f"{_UNWRITABLE} ({error.strerror or type(error).__name__})")


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())

"""The shell scripts are few and clean."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.architecture.tree import ROOT

SCRIPTS = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci" / "run"]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_has_no_known_trap(script: object) -> None:
    """An unquoted path or an unchecked `cd` is found before a folder with a space in its name finds it."""
    answer = subprocess.run(
        ["shellcheck", str(script)], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stdout


def test_ci_keeps_the_verdict_and_says_it_last() -> None:
    """A red run of pytest is a red run of CI, and the last line is pytest's own count either way."""
    # Of the script only `make` and `id` are replaced: it runs no tests in a test, and installs nothing.
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for verdict, code in (("1 failed, 2 passed in 0.50s", 2), ("3 passed in 0.50s", 0)):
        complaint = 'echo "make: *** [test] Error 1" >&2;' if code else ""
        make = (
            f'id() {{ echo 1000; }}\nmake() {{ echo "===== {verdict} ====="; {complaint} return {code}; }}\n'
        )
        answer = subprocess.run(
            ["bash", "-c", make + text, str(ROOT / ".ci" / "run")],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env={"PATH": os.environ["PATH"]},
        )
        assert answer.returncode == code, answer.stderr
        assert answer.stdout.rstrip().splitlines()[-1] == f"===== {verdict} ====="

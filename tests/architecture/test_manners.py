"""The house is kept: small files, names that say something, packages that say why they exist."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT, sources

OURS = sources(*PACKAGES, "tests", "scripts")
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "service", "services", "misc"}
# A package whose `__init__` is the table or the seam itself.
SPEAKING = {"workers/sources/__init__.py", "common/blobs/__init__.py"}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_too_long() -> None:
    """A file that needs more than 400 lines has two reasons to change."""
    long = {
        relative(path): n for path in OURS if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long


def test_no_name_says_nothing() -> None:
    """What is called `utils` or `manager` collects whatever has no home."""
    assert not [relative(path) for path in OURS if EMPTY_NAMES & {path.stem, *path.relative_to(ROOT).parts}]


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=relative)
def test_a_module_says_why_it_is_there(path: Path) -> None:
    """Each module opens with a docstring; the `__init__` of a package holds nothing else."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    if path.name == "__init__.py" and relative(path) not in SPEAKING:
        assert len(tree.body) == 1


def test_every_test_states_its_promise() -> None:
    """A test without a sentence cannot be judged when it fails."""
    silent = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in sources("tests")
        if path.name.startswith("test_")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert not silent


def test_nothing_of_one_machine_is_committed() -> None:
    """No address of a package index and no path of somebody's folder travels with the source."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    telling = re.compile(
        r"/(?:home|Users)/[a-z]|/root/|--(?:extra-)?index-url[ =]\S*://|/opt/(?:wheels|pypi)"
    )
    found = [
        name
        for name in listed.stdout.split("\0")
        if name
        and name != relative(Path(__file__))
        and (ROOT / name).is_file()
        and telling.search(_text(ROOT / name))
    ]
    assert not found


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="ignore")

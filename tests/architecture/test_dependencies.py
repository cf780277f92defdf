"""What production installs is what it imports, and what those packages need: nothing else is there to be trusted."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from importlib.metadata import distribution, packages_distributions
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.architecture.test_locks import PROJECT, entries
from tests.architecture.tree import ROOT, sources

DIRECT = [Requirement(row) for row in PROJECT["dependencies"]]
# Named and not imported, each with who needs it.
UNIMPORTED = {
    "hiredis": "redis-py reads Redis' answers with it where it is installed, several times as fast",
    "tzdata": "zoneinfo reads it where the system has no zones, as in the image",
}


def canonical(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """Return the packages that the processes' code imports, wherever in a file it does."""
    tops: set[str] = set()
    for path in sources("ingest", "workers", "common"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                tops.add(str(node.module).partition(".")[0])
    tops -= sys.stdlib_module_names | {"ingest", "workers", "common"}
    found = packages_distributions()
    return {canonical(name) for top in tops for name in found[top]}


def needed(roots: set[str]) -> set[str]:
    """Return packages with all that they need here, by what they say of themselves."""
    reached: set[tuple[str, str]] = set()
    waiting = [(root, "") for root in roots]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in reached:
            continue
        reached.add((name, extra))
        for row in distribution(name).requires or ():
            requirement = Requirement(row)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(canonical(requirement.name), one) for one in ("", *requirement.extras)]
    return {name for name, _ in reached}


def test_what_is_named_is_imported_and_the_other_way_round() -> None:
    """No package is installed for nobody, and none is used that only happens to be there."""
    assert {canonical(one.name) for one in DIRECT} == imported() | UNIMPORTED.keys()


def test_no_extra_brings_what_nobody_asked_for() -> None:
    """An extra is a list of packages that somebody else keeps; those that are needed of it are named."""
    assert not [str(one) for one in DIRECT if one.extras]


def test_the_lock_of_production_holds_nothing_else() -> None:
    """Each locked package is imported, or needed by one that is."""
    here = [
        one
        for one, _ in entries("requirements-production.lock")
        if one.marker is None or one.marker.evaluate()
    ]
    assert {canonical(one.name) for one in here} == needed(imported() | UNIMPORTED.keys())


@pytest.fixture
def audit() -> ModuleType:
    """The script that audits."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOUND: dict[str, Any] = {"name": "a", "version": "1", "vulns": []}
UNKNOWN: dict[str, Any] = {"name": "b", "skip_reason": "Dependency not found"}
FLAWED: dict[str, Any] = {"name": "c", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SOUND], 0, "1 packages were audited, 0 known"),
        ([SOUND, FLAWED], 1, "c 2: CVE-1, mended in 3"),
        ([UNKNOWN, UNKNOWN], 0, "2 packages were NOT audited"),
        ([UNKNOWN, FLAWED], 1, "1 packages were NOT audited"),
    ],
)
def test_an_audit_fails_for_what_is_known_and_tells_what_is_not(
    audit: ModuleType, packages: list[dict[str, Any]], code: int, said: str
) -> None:
    """A package that the feed does not know is never counted among the sound ones."""
    verdict, sentences = audit.judged({"dependencies": packages})
    assert verdict == code
    assert any(said in sentence for sentence in sentences)


def test_without_a_net_an_audit_says_so_and_is_no_failure(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run on a machine that reaches no index stays green, and nobody takes it for an audit."""
    monkeypatch.setattr(audit, "_run", lambda *_: None)  # nothing is brought, nothing answers
    monkeypatch.setattr(audit.venv, "create", lambda *_, **__: None)
    assert audit.main([]) == 0
    assert "was not audited" in capsys.readouterr().out

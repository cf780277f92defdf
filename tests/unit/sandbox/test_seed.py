"""Seeding makes what is missing, once, whatever cut an earlier start short; the next one changes nothing."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.endings import Refused
from sandbox.errand import Errands
from sandbox.folder import Folder
from sandbox.organization import Salesforce
from sandbox.output import Output
from sandbox.seed import Seeded, seed

SALESFORCE = Salesforce("http://127.0.0.1:20080", "sandbox", "s" * 40, simulated=True)


class Operator(Errands):
    """The operator's command over a store in memory, which refuses what the real one refuses."""

    def __init__(self, folder: Path) -> None:
        super().__init__(environment={}, folder=folder, output=Output(folder), stopping=lambda: False)
        self.organizations: dict[str, dict[str, str]] = {}
        self.users: set[str] = set()
        self.verbs: list[str] = []
        self.fails_at: str | None = None

    def run(self, words: list[str], *, name: str, told: str = "", seconds: float = 60) -> tuple[int, str]:
        assert words[0] == name == "imports"
        assert words[-1] == "--json"
        noun, verb, *rest = words[1:-1]
        self.verbs.append(noun if noun == "token" else f"{noun} {verb}")
        if self.verbs[-1] == self.fails_at:
            return 1, ""
        options = dict(itertools.pairwise(rest))
        if noun == "token":
            return (0, json.dumps({"token": f"of {verb}"})) if verb in self.users else (1, "")
        if verb == "list":
            return 0, json.dumps([{"id": found} for found in self.organizations])
        if noun == "user":
            if rest[0] not in self.organizations:
                return 1, ""
            self.users.add(options["--id"])
            return 0, json.dumps({"id": options["--id"]})
        found = options["--id"] if verb == "add" else rest[0]
        assert (found in self.organizations) == (verb == "update")
        assert options["--client-secret-file"] == "-"
        self.organizations[found] = {"url": options["--salesforce-url"], "secret": told}
        return 0, json.dumps({"id": found})


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "world")
    folder.open()
    return folder


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def sown(folder: Folder, operator: Operator, salesforce: Salesforce = SALESFORCE) -> Seeded:
    """Seed as a fresh start on the folder does."""
    again = Folder(folder.path)
    again.open()
    again.read()
    operator.verbs.clear()
    return seed(again, operator, salesforce, operator=["imports"])


def test_first_start_makes_all(folder: Folder, operator: Operator) -> None:
    """A first start makes the organization with its Salesforce, the user and a token."""
    seeded = sown(folder, operator)
    assert operator.organizations == {
        seeded.organization_id: {"url": SALESFORCE.url, "secret": SALESFORCE.client_secret}
    }
    assert operator.users == {seeded.user_id}
    assert seeded.token == f"of {seeded.user_id}"
    assert seeded.token not in repr(seeded)


def test_second_start_only_asks(folder: Folder, operator: Operator) -> None:
    """A second start gives the same organization and user and makes nothing."""
    first = sown(folder, operator)
    assert sown(folder, operator) == first
    assert operator.verbs == ["organization list", "token"]


@pytest.mark.parametrize(
    "other",
    [
        Salesforce("http://127.0.0.1:20081", "sandbox", "s" * 40, simulated=True),
        Salesforce(SALESFORCE.url, "sandbox", "t" * 40, simulated=True),
    ],
)
def test_other_salesforce_is_told(folder: Folder, operator: Operator, other: Salesforce) -> None:
    """When the port, the Salesforce or its secret has changed, the organization learns of it."""
    first = sown(folder, operator)
    assert sown(folder, operator, other) == first
    assert operator.organizations[first.organization_id] == {"url": other.url, "secret": other.client_secret}
    sown(folder, operator, other)
    assert "organization update" not in operator.verbs


def test_emptied_store_gets_the_same_again(folder: Folder, operator: Operator) -> None:
    """When the documents are gone, the same organization and user are made again."""
    first = sown(folder, operator)
    operator.organizations.clear()
    operator.users.clear()
    assert sown(folder, operator) == first
    assert operator.users == {first.user_id}


@pytest.mark.parametrize("step", ["organization list", "organization add", "user add", "token"])
def test_start_that_was_cut_short_goes_on(folder: Folder, operator: Operator, step: str) -> None:
    """A failed step is told as a sentence, and the next start ends with one organization and one user."""
    operator.fails_at = step
    with pytest.raises(Refused, match=r"`imports (organization|user|token) .*` failed with exit code 1"):
        sown(folder, operator)
    operator.fails_at = None
    seeded = sown(folder, operator)
    assert list(operator.organizations) == [seeded.organization_id]
    assert operator.users == {seeded.user_id}


def test_user_that_was_not_written_down(folder: Folder, operator: Operator) -> None:
    """A kill between adding the user and noting it does not stop the next start."""
    first = sown(folder, operator)
    facts: dict[str, Any] = json.loads((folder.path / "world.json").read_text())
    (folder.path / "world.json").write_text(json.dumps({**facts, "user_added": False}))
    assert sown(folder, operator) == first

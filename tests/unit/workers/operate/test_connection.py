"""`imports organization check` tries what an import would do and says which right is missing and where to give it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.organization import SECRET, World
from tests.unit.workers.operate.conftest import ORGANIZATION, Imports


@pytest.fixture
def org(tmp_path: Path) -> Iterator[World]:
    org = World(tmp_path / "salesforce")
    yield org
    org.close()


def check(imports: Imports, org: World, *, secret: str = SECRET, code: int = 0) -> dict[str, Any]:
    url = ("--salesforce-url", org.url, "--client-id", "sandbox", "--client-secret-file", "-")
    imports.json("organization", "add", "Acme", "--id", ORGANIZATION, *url, stdin=secret)
    return dict(imports.json("organization", "check", ORGANIZATION, code=code))


def test_a_connection_that_is_well_says_so(imports: Imports, org: World) -> None:
    """Every step is ok, and the calls it cost and those that are left are told."""
    told = check(imports, org)
    assert told["ok"]
    assert {step["state"] for step in told["steps"]} == {"ok"}
    assert [step["name"] for step in told["steps"]][:2] == ["login", "API version 65.0"]
    assert (told["calls"], told["usage"]) == (7, {"used": 7, "limit": 100_000, "left": 99_993})
    assert org.logins == 1


def test_a_person_reads_the_steps_as_a_table(imports: Imports, org: World) -> None:
    """Without --json each step stands on a line of its own, with what to do where something is missing."""
    org.control("PUT", "permissions", {"denied": ["EmailMessage"]})
    check(imports, org, code=1)
    result = imports.run("organization", "check", ORGANIZATION)
    assert result.exit_code == 1
    for told in ("STEP", "login", "A session was given.", "EmailMessage", "Setup >"):
        assert told in result.stdout
    shown = imports.run("organization", "show", ORGANIZATION)
    assert "client_credentials" in shown.stdout


@pytest.mark.parametrize(
    ("denied", "where"),
    [("EmailMessage", "Email Messages: Read"), ("Attachment", "Cases: Read"), ("ContentVersion", "Files")],
)
def test_a_missing_right_is_named_with_its_page_of_setup(
    imports: Imports, org: World, denied: str, where: str
) -> None:
    """An object that the user may not read is found out, and the others are tried all the same."""
    org.control("PUT", "permissions", {"denied": [denied]})
    told = check(imports, org, code=1)
    (bad,) = [step for step in told["steps"] if step["state"] == "bad"]
    assert bad["name"] == denied
    assert "Setup > Permission Sets" in bad["advice"]
    assert where in bad["advice"]


def test_limits_that_cannot_be_read_are_no_failure(imports: Imports, org: World) -> None:
    """The numbers come with every answer; without the permission to read them all is well enough."""
    org.control("PUT", "permissions", {"denied": ["limits"]})
    told = check(imports, org)
    (step,) = [step for step in told["steps"] if step["name"] == "limits"]
    assert (told["ok"], step["state"]) == (True, "warning")
    assert "View Setup" in step["advice"]


def test_a_wrong_secret_ends_the_check_at_the_login(imports: Imports, org: World) -> None:
    """Nothing is asked without a session, and the secret is in nothing that is said."""
    told = check(imports, org, secret="planted-wrong-secret", code=1)
    assert [(step["name"], step["state"]) for step in told["steps"]] == [("login", "bad")]
    assert "planted" not in str(told)


def test_an_api_version_that_is_not_served_is_named(imports: Imports, org: World) -> None:
    """A version that the organization does not have is told as that."""
    url = ("--salesforce-url", org.url, "--client-id", "sandbox", "--client-secret-file", "-")
    imports.json(
        "organization", "add", "Acme", "--id", ORGANIZATION, *url, "--api-version", "99.0", stdin=SECRET
    )
    told = imports.json("organization", "check", ORGANIZATION, code=1)
    assert "--api-version" in told["steps"][1]["advice"]

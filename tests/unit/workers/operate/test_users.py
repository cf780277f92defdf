"""Users are added to organizations, and get tokens that the door accepts."""

from __future__ import annotations

import time
from datetime import datetime

from common import tokens
from tests.unit.workers.operate.conftest import ORGANIZATION, Imports

USER = "0a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0002"


def test_a_user_belongs_to_an_organization(imports: Imports) -> None:
    """The answer is exactly id and organization; adding the same one again changes nothing."""
    imports.organization()
    expected = {"id": USER, "organization_id": ORGANIZATION}
    assert imports.json("user", "add", ORGANIZATION, "--id", USER) == expected
    assert imports.json("user", "add", ORGANIZATION, "--id", USER) == expected
    assert [user["id"] for user in imports.json("user", "list", ORGANIZATION)] == [USER]
    assert len(imports.json("user", "list")) == 1


def test_a_user_needs_an_organization_that_exists(imports: Imports) -> None:
    """A typo in the id must not make a user whose every token is refused."""
    result = imports.run("user", "add", ORGANIZATION, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert imports.db.users.count_documents({}) == 0


def test_a_user_is_disabled_and_enabled(imports: Imports) -> None:
    """The document says what the door asks for, and the token verb warns."""
    imports.organization()
    imports.json("user", "add", ORGANIZATION, "--id", USER)
    assert imports.json("user", "disable", USER)["disabled_at"] is not None
    assert "disabled" in imports.run("token", USER).stderr
    assert imports.json("user", "enable", USER)["disabled_at"] is None
    assert imports.run("user", "disable", ORGANIZATION).exit_code == 1


def test_a_token_is_verified_by_the_secret_that_signs(imports: Imports) -> None:
    """Its user and its expiry are those that were asked for, and the time is written in TIME_ZONE."""
    imports.organization()
    imports.json("user", "add", ORGANIZATION, "--id", USER)
    made = imports.json("token", USER, "--lifetime", "90")
    assert set(made) == {"token", "user_id", "expires_at"}
    secrets = [imports.env["TOKEN_SECRETS"]]
    claims = tokens.verify(made["token"], secrets=secrets, now=time.time(), require_expiry=True)
    assert claims.user_id == made["user_id"] == USER
    expires_at = datetime.fromisoformat(made["expires_at"])
    assert expires_at.timestamp() == claims.expires_at
    assert 80 < expires_at.timestamp() - time.time() <= 90
    assert expires_at.utcoffset()  # Paris is never at UTC


def test_a_token_alone_stands_on_standard_output(imports: Imports) -> None:
    """`$(imports token ID)` in a shell yields the token and nothing else."""
    imports.organization()
    imports.json("user", "add", ORGANIZATION, "--id", USER)
    result = imports.run("token", USER)
    assert result.stdout.count("\n") == 1
    assert result.stdout.count(".") == 2
    assert "Good until" in result.stderr
    assert imports.run("token", ORGANIZATION).exit_code == 1
    assert imports.run("token", USER, "--lifetime", "0").exit_code == 2

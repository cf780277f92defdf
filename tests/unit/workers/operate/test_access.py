"""However an organization logs in, its secrets are taken from files, kept encrypted, and can change keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.unit.workers.operate.conftest import ORGANIZATION, Imports
from workers.credentials import Credentials
from workers.sources.salesforce.opening import open_org

URL = ("--salesforce-url", "https://acme.my.salesforce.com")
WAYS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "client_credentials": (("--client-id", "3MVG9"), {"client-secret": "planted-secret"}),
    "jwt_bearer": (("--client-id", "3MVG9", "--username", "i@acme.example"), {"jwt-key": "planted-key"}),
    "refresh_token": (
        ("--client-id", "3MVG9"),
        {"client-secret": "planted-secret", "refresh-token": "planted-refresh"},
    ),
    "password": (
        ("--client-id", "3MVG9", "--username", "i@acme.example"),
        {"client-secret": "planted-secret", "password": "planted-word", "security-token": "planted-token"},
    ),
    "soap": (
        ("--username", "i@acme.example"),
        {"password": "planted-word", "security-token": "planted-token"},
    ),
}


def words(way: str, folder: Path) -> list[str]:
    """Write the secrets of a way into files and return the options that name them."""
    open_words, secrets = WAYS[way]
    given = list(open_words)
    for name, text in secrets.items():
        (folder / name).write_text(text + "\n")
        given += [f"--{name}" if name == "jwt-key" else f"--{name}-file", str(folder / name)]
    return given


def kept(imports: Imports) -> dict[str, Any]:
    found = imports.db.organizations.find_one({"_id": ORGANIZATION})
    assert found is not None
    return dict(found["source"])


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_logging_in_is_told_from_what_is_given(
    imports: Imports, tmp_path: Path, way: str
) -> None:
    """The way follows from the options, a worker can open what was kept, and no secret is seen or stored."""
    result = imports.run(
        "organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words(way, tmp_path), "--json"
    )
    assert result.exit_code == 0, result.output
    source = kept(imports)
    assert source["grant"] == way
    assert "planted" not in result.output + str(source)
    org = open_org(
        source, credentials=Credentials([imports.env["CREDENTIALS_KEYS"]]), api_version="65.0", pool_size=1
    )
    org.close()


def test_another_way_leaves_no_secret_behind(imports: Imports, tmp_path: Path) -> None:
    """Who moves from a password to a key is rid of the password; the version makes workers log in anew."""
    imports.json("organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words("password", tmp_path))
    before = imports.db.organizations.find_one({"_id": ORGANIZATION})
    imports.json("organization", "update", ORGANIZATION, *words("jwt_bearer", tmp_path))
    after = imports.db.organizations.find_one({"_id": ORGANIZATION})
    assert before is not None
    assert after is not None
    assert after["credential_version"] == before["credential_version"] + 1
    assert list(after["source"]["secrets"]) == ["private_key"]
    assert after["source"]["secret"] is None


def test_one_secret_may_change_alone(imports: Imports, tmp_path: Path) -> None:
    """A new password keeps the way of logging in and all that was not given."""
    imports.json("organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words("soap", tmp_path))
    imports.json("organization", "update", ORGANIZATION, "--password-file", "-", stdin="another")
    source = kept(imports)
    opened = Credentials([imports.env["CREDENTIALS_KEYS"]]).decrypt(source["secrets"]["password"])
    assert (source["grant"], opened, source["username"]) == ("soap", "another", "i@acme.example")
    assert set(source["secrets"]) == {"password", "security_token"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--username", "x"), "--client-id"),
        (("--client-id", "x", "--grant", "jwt_bearer"), "--username"),
        (("--client-id", "x", "--grant", "telepathy"), "client_credentials, jwt_bearer"),
        (("--client-id", "x", "--jwt-key", "/nonexistent"), "--jwt-key cannot be read"),
        (("--client-id", "x", "--client-secret-file", "-", "--refresh-token-file", "-"), "once"),
        (("--username", "x", "--grant", "soap"), "--password-file"),
    ],
)
def test_what_is_lacking_is_one_sentence(imports: Imports, given: tuple[str, ...], said: str) -> None:
    """Nothing is kept, and the sentence names the option that is missing or wrong."""
    result = imports.run("organization", "add", "Acme", *URL, *given, stdin="secret")
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert imports.db.organizations.find_one() is None


def test_credentials_change_keys_and_sessions_go_on(imports: Imports, tmp_path: Path) -> None:
    """After the rotation the old key is needed no more, and no worker has to log in for it."""
    imports.json("organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words("password", tmp_path))
    before = imports.db.organizations.find_one({"_id": ORGANIZATION})
    new = Fernet.generate_key().decode()
    both = f"{new},{imports.env['CREDENTIALS_KEYS']}"
    result = imports.run("organization", "rotate-credentials", "--json", CREDENTIALS_KEYS=both)
    assert result.exit_code == 0, result.output
    assert ORGANIZATION in result.stdout
    after = imports.db.organizations.find_one({"_id": ORGANIZATION})
    assert before is not None
    assert after is not None
    assert after["credential_version"] == before["credential_version"]
    only_new = Credentials([new])
    assert only_new.decrypt(after["source"]["secret"]) == "planted-secret"
    assert only_new.decrypt(after["source"]["secrets"]["password"]) == "planted-word"


def test_a_credential_that_no_key_reads_is_named(imports: Imports, tmp_path: Path) -> None:
    """One organization under a lost key stops no other's rotation, and is named with what to do."""
    imports.json("organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words("soap", tmp_path))
    lost = Fernet.generate_key().decode()
    result = imports.run("organization", "rotate-credentials", "--json", CREDENTIALS_KEYS=lost)
    assert result.exit_code == 1
    assert ORGANIZATION in result.stdout
    assert "CREDENTIALS_KEYS" in result.stderr

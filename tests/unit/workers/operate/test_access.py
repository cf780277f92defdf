"""However an organization logs in, its secrets are taken from files, kept encrypted, and can change keys."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.unit.workers.operate.conftest import ORGANIZATION, Imports
from workers.credentials import Credentials, owner
from workers.failures import Throttled
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


def worker(imports: Imports, source: dict[str, Any], organization_id: str = ORGANIZATION) -> Any:
    """Open a source as a worker does, of an organization's document as it is kept."""
    return open_org(
        source,
        organization_id=organization_id,
        credentials=Credentials([imports.env["CREDENTIALS_KEYS"]]),
        api_version="65.0",
        pool_size=1,
    )


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
    worker(imports, source).close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "change",
    [
        {"login_url": "https://attacker.my.salesforce.com"},
        {"instance_url": "https://attacker.my.salesforce.com"},
    ],
)
def test_a_secret_is_not_sent_to_another_address(
    imports: Imports, tmp_path: Path, way: str, change: dict[str, str]
) -> None:
    """An address that was changed in the store alone gets no secret; the reason says what to do."""
    imports.json("organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words(way, tmp_path))
    with pytest.raises(Throttled, match="another Salesforce address") as caught:
        worker(imports, kept(imports) | change)
    assert caught.value.code == "salesforce_credentials"


@pytest.mark.parametrize("way", WAYS)
def test_a_copied_secret_serves_no_other_organization(imports: Imports, tmp_path: Path, way: str) -> None:
    """Who can write to the store cannot let another organization's document use a secret, whatever else it says."""
    imports.json("organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words(way, tmp_path))
    with pytest.raises(Throttled, match="another organization"):
        worker(imports, kept(imports), "00000000-0000-4000-8000-000000000000")


def test_secrets_are_not_exchanged_for_one_another(imports: Imports, tmp_path: Path) -> None:
    """A password that is put where the client's secret belongs is refused."""
    imports.json("organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words("password", tmp_path))
    source = kept(imports)
    with pytest.raises(Throttled, match="kept for another"):
        worker(imports, source | {"secret": source["secrets"]["password"]})


@pytest.mark.parametrize("way", WAYS)
def test_a_new_address_given_by_the_operator_keeps_the_secrets(
    imports: Imports, tmp_path: Path, way: str
) -> None:
    """`organization update --salesforce-url` alone seals what is kept for the new address."""
    imports.json("organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words(way, tmp_path))
    new = (
        "--salesforce-url",
        "https://new.my.salesforce.com",
        "--instance-url",
        "https://eu7.salesforce.com",
    )
    imports.json("organization", "update", ORGANIZATION, *new)
    source = kept(imports)
    assert source["login_url"] == "https://new.my.salesforce.com"
    worker(imports, source).close()


def test_a_credential_of_an_earlier_release_is_bound_by_rotation(imports: Imports, tmp_path: Path) -> None:
    """It serves until then, doctor says that it is not bound, and afterwards it is refused elsewhere."""
    imports.json(
        "organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words("client_credentials", tmp_path)
    )
    credentials = Credentials([imports.env["CREDENTIALS_KEYS"]])
    earlier = {"$set": {"source.secret": credentials.encrypt("planted-secret")}}
    imports.db.organizations.update_one({}, earlier)
    worker(imports, kept(imports)).close()
    told = {one["name"]: one for one in imports.json("doctor", code=1)}["organization Acme"]
    assert (told["state"], "rotate-credentials" in str(told)) == ("warning", True)
    imports.json("organization", "rotate-credentials")
    worker(imports, kept(imports)).close()
    with pytest.raises(Throttled):
        worker(imports, kept(imports), "00000000-0000-4000-8000-000000000000")


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
    opened = Credentials([imports.env["CREDENTIALS_KEYS"]]).unseal(
        source["secrets"]["password"], owner(ORGANIZATION, source, "password")
    )
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
    source = after["source"]
    belongs = partial(owner, ORGANIZATION, source)
    assert only_new.unseal(source["secret"], belongs("client_secret")) == "planted-secret"
    assert only_new.unseal(source["secrets"]["password"], belongs("password")) == "planted-word"


def test_a_credential_that_no_key_reads_is_named(imports: Imports, tmp_path: Path) -> None:
    """One organization under a lost key stops no other's rotation, and is named with what to do."""
    imports.json("organization", "add", "Acme", *URL, "--id", ORGANIZATION, *words("soap", tmp_path))
    lost = Fernet.generate_key().decode()
    result = imports.run("organization", "rotate-credentials", "--json", CREDENTIALS_KEYS=lost)
    assert result.exit_code == 1
    assert ORGANIZATION in result.stdout
    assert "CREDENTIALS_KEYS" in result.stderr

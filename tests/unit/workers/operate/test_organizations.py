"""Organizations are added, changed and disabled, and their secrets are never seen again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.workers.operate.conftest import ORGANIZATION, SECRET, Imports
from workers.credentials import Credentials, owner
from workers.sources.salesforce.opening import open_org

URL = ("--salesforce-url", "https://acme.my.salesforce.com", "--client-id", "3MVG9")
ADD = ("organization", "add", "Acme", *URL)


def test_an_organization_is_added_with_its_secret_encrypted(imports: Imports, tmp_path: Path) -> None:
    """The answer has id and name and no secret; the store has Fernet text that our key opens."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    result = imports.run(*ADD, "--id", ORGANIZATION.upper(), "--client-secret-file", str(tmp_path / "secret"), "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f'"id": "{ORGANIZATION}", "name": "Acme"' in result.stdout
    assert SECRET not in result.output
    kept = imports.db.organizations.find_one({"_id": ORGANIZATION})
    assert kept is not None
    assert SECRET not in str(kept)
    credentials, source = Credentials([imports.env["CREDENTIALS_KEYS"]]), kept["source"]
    assert credentials.unseal(source["secret"], owner(kept["_id"], source, "client_secret")) == SECRET


def test_a_worker_opens_what_was_added(imports: Imports) -> None:
    """The fetch stage's own reader takes the document as it was written, instance and version included."""
    words = ("--instance-url", "https://eu7.salesforce.com/", "--api-version", "61.0", "--client-secret", "-")
    imports.json(*ADD, *words, stdin=SECRET)
    kept = imports.db.organizations.find_one()
    assert kept is not None
    credentials = Credentials([imports.env["CREDENTIALS_KEYS"]])
    org = open_org(
        kept["source"], organization_id=kept["_id"], credentials=credentials, api_version="65.0", pool_size=1
    )
    org.close()
    assert kept["source"]["instance_url"] == "https://eu7.salesforce.com"


@pytest.mark.parametrize("option", ["--client-secret-file", "--client-secret"])
def test_a_secret_comes_through_standard_input(imports: Imports, option: str) -> None:
    """`-` reads the secret where no process list shows it, and warns of nothing."""
    result = imports.run(*ADD, option, "-", "--json", stdin=SECRET)
    assert result.exit_code == 0, result.output
    assert "Warning" not in result.stderr
    kept = imports.db.organizations.find_one()
    assert kept is not None
    credentials, source = Credentials([imports.env["CREDENTIALS_KEYS"]]), kept["source"]
    assert credentials.unseal(source["secret"], owner(kept["_id"], source, "client_secret")) == SECRET


def test_a_secret_on_the_command_line_is_accepted_and_warned_about(imports: Imports) -> None:
    """The fixed interface takes it, but the operator hears that others can see it."""
    result = imports.run(*ADD, "--client-secret", SECRET, "--json")
    assert result.exit_code == 0
    assert "--client-secret-file" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--salesforce-url", "http://acme.example", "--client-id", "x", "--client-secret", "-"), "https"),
        ((*URL, "--client-secret", "-", "--id", "7"), "UUID"),
        ((*URL, "--client-secret", "-", "--api-version", "latest"), "65.0"),
        (URL, "--client-secret-file"),
        ((*URL, "--client-secret", "-", "--client-secret-file", "-"), "either"),
        ((*URL, "--client-secret-file", "/nonexistent/file"), "cannot be read"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    imports: Imports, words: tuple[str, ...], said: str
) -> None:
    """Nothing is stored, nothing stands on standard output, and the sentence names what is wrong."""
    result = imports.run("organization", "add", "Acme", *words, "--json", stdin=SECRET)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert imports.db.organizations.count_documents({}) == 0


def test_plain_http_serves_on_this_machine(imports: Imports) -> None:
    """A simulated Salesforce on loopback is spoken to in plain http."""
    words = ("--salesforce-url", "http://127.0.0.1:9999/", "--client-id", "x", "--client-secret", "-")
    added = imports.json("organization", "add", "Acme", *words, stdin=SECRET)
    assert added["source"]["login_url"] == "http://127.0.0.1:9999"


def test_without_a_key_the_sentence_says_how_to_make_one(imports: Imports) -> None:
    """CREDENTIALS_KEYS may be missing until a secret is to be kept; then it is a mistake of the settings."""
    result = imports.run(*ADD, "--client-secret", "-", stdin=SECRET, CREDENTIALS_KEYS="")
    assert result.exit_code == 2
    assert "Fernet.generate_key" in result.stderr


def test_an_id_is_taken_once(imports: Imports) -> None:
    """A second organization under the same id would take over the first one's imports."""
    imports.json(*ADD, "--id", ORGANIZATION, "--client-secret", "-", stdin=SECRET)
    result = imports.run(*ADD, "--id", ORGANIZATION, "--client-secret", "-", "--json", stdin=SECRET)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "update" in result.stderr


def test_an_update_changes_what_is_given_and_opens_the_gate(imports: Imports) -> None:
    """New credentials are tried at once, and the rest stays as it was."""
    imports.json(*ADD, "--id", ORGANIZATION, "--client-secret", "-", stdin=SECRET)
    imports.db.organizations.update_one({}, {"$set": {"gate": {"waiting_for": "salesforce_credentials"}}})
    words = ("--name", "Acme 2", "--salesforce-url", "https://new.my.salesforce.com")
    changed = imports.json("organization", "update", ORGANIZATION, *words)
    assert (changed["name"], changed["gate"]) == ("Acme 2", None)
    assert changed["source"]["login_url"] == "https://new.my.salesforce.com"
    assert changed["source"]["client_id"] == "3MVG9"
    assert imports.run("organization", "update", ORGANIZATION).exit_code == 2


def test_disable_enable_list_and_show(imports: Imports) -> None:
    """What is disabled says so everywhere, and enabling takes it back."""
    imports.organization()
    assert imports.json("organization", "disable", ORGANIZATION)["disabled_at"] is not None
    assert "disabled" in imports.run("organization", "list").stdout
    assert imports.json("organization", "enable", ORGANIZATION)["disabled_at"] is None
    assert imports.json("organization", "show", ORGANIZATION)["name"] == "Acme"
    assert [one["id"] for one in imports.json("organization", "list")] == [ORGANIZATION]


@pytest.mark.parametrize("verb", ["show", "disable", "enable"])
def test_an_unknown_organization_is_not_found(imports: Imports, verb: str) -> None:
    """Exit code 1 and a sentence, nothing on standard output."""
    result = imports.run("organization", verb, ORGANIZATION, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no organization" in result.stderr

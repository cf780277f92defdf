"""Children read what the person has set, and the sandbox's values for the rest, never both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from common.settings import Settings
from sandbox import environment, organization
from sandbox.endings import Refused
from sandbox.folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "world")
    folder.open()
    return folder


def children(folder: Folder, **environ: str) -> dict[str, str]:
    programs = environment.for_programs({"PATH": "/usr/bin", **environ}, folder, Path("/checkout"))
    return environment.for_children(
        programs,
        folder,
        mongodb_url="mongodb://127.0.0.1:1/imports",
        redis_url="redis://127.0.0.1:2/0",
        port=3,
    )


def test_everything_is_filled_in(folder: Folder) -> None:
    """With nothing set, the processes can read every setting, and the secrets from files."""
    filled = children(folder)
    settings = environment.settings(filled)
    assert settings.mongodb_url == "mongodb://127.0.0.1:1/imports"
    assert settings.redis_url == "redis://127.0.0.1:2/0"
    assert settings.blobs_url == (folder.path / "blobs").as_uri()
    assert settings.spool_dir == folder.path / "spool"
    assert (settings.host, settings.port) == ("127.0.0.1", 3)
    assert len(settings.token_secrets) == len(settings.credentials_keys) == 1
    assert len(settings.operator_password or "") >= 24
    assert "TOKEN_SECRETS" not in filled
    assert filled["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert filled["PYTHONPATH"].split(":")[0] == "/checkout"


def test_the_persons_own_settings_pass(folder: Folder, tmp_path: Path) -> None:
    """What is set, as text or by its file, is passed on and not given a second time."""
    url = tmp_path / "url"
    url.write_text("redis://elsewhere:6379/0")
    filled = children(
        folder,
        REDIS_URL_FILE=str(url),
        TOKEN_SECRETS="5e1f0c9a7b3d48620f9e8d7c6b5a4132",
        TIME_ZONE="Europe/Paris",
        PORT_FILE="/no/such/file",
    )
    settings = environment.settings(filled)
    assert settings.redis_url == "redis://elsewhere:6379/0"
    assert settings.token_secrets == ("5e1f0c9a7b3d48620f9e8d7c6b5a4132",)
    assert settings.time_zone.key == "Europe/Paris"
    assert settings.port == 3


@pytest.mark.parametrize("own", [False, True])
def test_each_process_is_given_its_own_secrets(folder: Folder, own: bool) -> None:
    """`render` gets none, by name or by file, also of those that the person has set; everybody can start with his."""
    given = {
        "TOKEN_SECRETS": "5e1f0c9a7b3d48620f9e8d7c6b5a4132",
        "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
    }
    everything = children(folder, **(given if own else {}))
    names = {"TOKEN_SECRETS": {"web"}, "CREDENTIALS_KEYS": {"fetch"}, "OPERATOR_PASSWORD": {"web"}}
    for process in ("web", "fetch", "render", "sweeper"):
        filled = environment.for_process(everything, process)
        Settings.load(filled, process=process)
        for name, readers in names.items():
            assert (process in readers) == bool({name, f"{name}_FILE"} & filled.keys())
    assert environment.for_process(everything, "own-process") == everything


def test_secrets_stay_the_same(folder: Folder) -> None:
    """A restart signs and encrypts with the secrets of the first start."""
    first, second = (environment.settings(children(folder)) for _ in range(2))
    assert first.token_secrets == second.token_secrets
    assert first.credentials_keys == second.credentials_keys
    assert first.operator_password == second.operator_password


def test_mistakes_are_told_together(folder: Folder) -> None:
    """Settings that cannot be used stop the start before anything runs, all of them in one message."""
    with pytest.raises(Refused) as refusal:
        environment.settings(children(folder, TIME_ZONE="Nowhere", LEASE_SECONDS="soon"))
    assert "TIME_ZONE" in str(refusal.value)
    assert "LEASE_SECONDS" in str(refusal.value)


def test_salesforce_secret_goes_to_nobody(folder: Folder) -> None:
    """The client secret of a Salesforce named in the environment is not handed to the processes."""
    assert "SALESFORCE_CLIENT_SECRET" not in children(folder, SALESFORCE_CLIENT_SECRET="hush")


def test_salesforce_of_the_environment(tmp_path: Path) -> None:
    """A Salesforce is named by three variables, the secret also by a file; its secret is never shown."""
    file = tmp_path / "secret"
    file.write_text("hush\n")
    environ = {
        "SALESFORCE_URL": "https://acme.my.salesforce.com/",
        "SALESFORCE_CLIENT_ID": "acme",
        "SALESFORCE_CLIENT_SECRET_FILE": str(file),
    }
    named = organization.named(environ)
    assert named is not None
    assert (named.url, named.client_id, named.client_secret) == (
        "https://acme.my.salesforce.com",
        "acme",
        "hush",
    )
    assert "hush" not in repr(named)
    assert organization.named({}) is None


@pytest.mark.parametrize("gone", ["SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET"])
def test_half_a_salesforce_is_refused(gone: str) -> None:
    """Half of a connection is a sentence and not a failing import later."""
    environ = {"SALESFORCE_URL": "https://x", "SALESFORCE_CLIENT_ID": "a", "SALESFORCE_CLIENT_SECRET": "b"}
    del environ[gone]
    with pytest.raises(Refused, match=gone):
        organization.named(environ)


def shell_after(lines: str, **environ: str) -> dict[str, str]:
    """Return the environment of a shell that has read some lines."""
    shown = subprocess.run(
        [
            *("/bin/sh", "-c"),
            f'{lines}exec "$0" -c "import json, os; print(json.dumps(dict(os.environ)))"',
            sys.executable,
        ],
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return dict(json.loads(shown))


def test_a_shell_finds_the_stores(tmp_path: Path) -> None:
    """Whoever sources DIR/env, spaces and quotes in its path included, has every setting a command needs."""
    folder = Folder(tmp_path / "a person's world")
    folder.open()
    lines = environment.for_shell(children(folder), {})
    settings = environment.settings(shell_after(lines))
    assert settings.blobs_url == (folder.path / "blobs").as_uri()
    assert settings.token_secrets == environment.settings(children(folder)).token_secrets


def test_a_persons_own_secret_is_not_written_down(folder: Folder) -> None:
    """What was given in the environment stays there, and DIR/env does not name it twice."""
    given = {"TOKEN_SECRETS": "s" * 32, "MONGODB_URL": "mongodb://user:password@db.example.com/imports"}
    lines = environment.for_shell(children(folder, **given), given)
    assert "s" * 32 not in lines
    assert "password" not in lines
    assert "TOKEN_SECRETS" not in lines
    assert "export REDIS_URL=" in lines


@pytest.mark.parametrize(
    "name", ["a person's world = ours", "two\nlines", "\u2028", "\x0b\x85", "\udcff"], ids=ascii
)
def test_an_env_file_names_no_stores_to_the_next_sandbox(tmp_path: Path, name: str) -> None:
    """A sandbox that is started from a shell that has read DIR/env sees none of it, whatever its values hold."""
    folder = Folder(tmp_path / name)
    folder.open()
    before = shell_after("")
    after = shell_after(environment.for_shell(children(folder), {}))
    assert set(after) - set(before) == {*environment.COMMANDS_NEED, environment.SHELL_MARK}
    kept, left_out = environment.of_the_person(after)
    assert kept == before
    assert sorted(left_out) == sorted(environment.COMMANDS_NEED)


def test_what_a_person_names_after_an_env_file_is_used(folder: Folder) -> None:
    """Stores named before DIR/env was read, or in its place afterwards, are the person's own and stay."""
    given = {"TOKEN_SECRETS": "s" * 32}
    lines = environment.for_shell(children(folder, **given), given)
    after = shell_after(lines + "export MONGODB_URL=mongodb://db.example.com/imports\n", **given)
    kept, left_out = environment.of_the_person(after)
    assert kept["MONGODB_URL"] == "mongodb://db.example.com/imports"
    assert kept["TOKEN_SECRETS"] == "s" * 32
    assert not environment.is_given(kept, "REDIS_URL")
    assert "MONGODB_URL" not in left_out


@pytest.mark.parametrize(
    "mark", ["", "no JSON", "[]", "null", "[" * 100_000, '{"REDIS_URL": 5}'], ids=lambda mark: mark[:8]
)
def test_a_mark_that_is_none_hides_nothing(mark: str) -> None:
    """Whatever another release or a foreign hand left in the shell, what is set stays the person's own."""
    given = {"REDIS_URL": "redis://db.example.com/0"}
    assert environment.of_the_person({**given, environment.SHELL_MARK: mark}) == (given, [])


def test_a_setting_is_named_as_it_was_given() -> None:
    """Whoever has set a setting by its file reads the name of that variable when it is at fault."""
    assert environment.given_as({"REDIS_URL_FILE": "/secret"}, "REDIS_URL") == "REDIS_URL_FILE"
    assert environment.given_as({"REDIS_URL": ""}, "REDIS_URL") is None

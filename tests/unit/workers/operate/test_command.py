"""The command as a process: one JSON value on standard output, sentences on standard error, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.stores import free_port
from tests.unit.workers.operate.conftest import ORGANIZATION, SECRET, Imports

UNKNOWN = "1a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0009"
VERBS = [
    "prepare",
    "organization",
    "user",
    "token",
    "queues",
    "list",
    "show",
    "retry",
    "cancel",
    "render",
    "doctor",
]


def test_a_whole_setup_by_processes_prints_json_alone(imports: Imports) -> None:
    """Release, organization, user, token, queues: each prints one value that the next one uses."""
    add = ("organization", "add", "Acme", "--salesforce-url", "http://127.0.0.1:1", "--client-id", "x")
    for words, stdin in (
        (("prepare",), ""),
        ((*add, "--id", ORGANIZATION, "--client-secret", SECRET), ""),
        (("user", "add", ORGANIZATION, "--id", UNKNOWN), ""),
        (("token", UNKNOWN), ""),
        (("queues",), ""),
        (("list",), ""),
    ):
        ended = imports.process(*words, "--json", stdin=stdin)
        assert ended.returncode == 0, ended.stderr
        json.loads(ended.stdout)  # one value: anything beside it would not parse
        assert SECRET not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("queues",),
        ("show", UNKNOWN),
        pytest.param(("list",), marks=pytest.mark.slow),
        pytest.param(("user", "list"), marks=pytest.mark.slow),
        pytest.param(("retry", UNKNOWN), marks=pytest.mark.slow),
    ],
)
def test_a_mongodb_that_is_away_is_one_sentence(imports: Imports, words: tuple[str, ...]) -> None:
    """Exit code 1, no traceback, no password, nothing on standard output."""
    url = f"mongodb://operator:hunter2@127.0.0.1:{free_port()}/imports"
    result = imports.run(*words, "--json", MONGODB_URL=url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "MongoDB at 127.0.0.1" in result.stderr
    assert "hunter2" not in result.stderr


def test_a_redis_that_is_away_is_one_sentence(imports: Imports) -> None:
    """The same for the verb that cannot do without Redis."""
    ended = imports.process("queues", "--json", REDIS_URL=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Redis at 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr


def test_wrong_settings_are_told_together(imports: Imports) -> None:
    """Exit code 2 and every mistake at once, so that one run is enough to mend them."""
    ended = imports.process("queues", "--json", PORT="many", TOKEN_SECRETS="short")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "PORT" in ended.stderr
    assert "TOKEN_SECRETS" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_urls_that_cannot_be_read_are_settings(imports: Imports) -> None:
    """Exit code 2 and the setting's name, as for any other mistake in the environment."""
    result = imports.run("queues", "--json", REDIS_URL="redis://127.0.0.1:many/0")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "REDIS_URL" in result.stderr
    result = imports.run("list", "--json", MONGODB_URL="mongodb://127.0.0.1:many/imports")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "MONGODB_URL" in result.stderr


def test_a_narrow_terminal_encoding_ends_nothing(imports: Imports) -> None:
    """A name that cannot be written is shown with question marks; JSON arrives whole."""
    imports.put(UNKNOWN, filename="写真.jpg")
    shown = imports.process("show", UNKNOWN, PYTHONIOENCODING="ascii")
    assert (shown.returncode, "??.jpg" in shown.stdout) == (0, True), shown.stderr
    told = imports.process("show", UNKNOWN, "--json", PYTHONIOENCODING="ascii")
    assert json.loads(told.stdout)["id"] == UNKNOWN


def test_an_unknown_verb_or_option_is_usage(imports: Imports) -> None:
    """Exit code 2, and standard output stays empty."""
    for words in (("frobnicate",), ("list", "--colour"), ("token",)):
        result = imports.run(*words)
        assert (result.exit_code, result.stdout) == (2, ""), words


def test_help_teaches_every_verb(imports: Imports) -> None:
    """The overview names them all, and each explains itself without any setting or store."""
    overview = imports.run("--help")
    assert overview.exit_code == 0
    assert all(verb in overview.stdout for verb in VERBS)
    for verb in VERBS:
        told = imports.run(verb, "--help", TOKEN_SECRETS="")
        assert told.exit_code == 0
        assert len(told.stdout) > 200


def test_ctrl_c_ends_it_without_a_traceback(imports: Imports, tmp_path: Path) -> None:
    """While it waits for a store, SIGINT ends the process at once and quietly."""
    env = {**imports.env, "MONGODB_URL": f"mongodb://127.0.0.1:{free_port()}/imports"}
    with subprocess.Popen(
        [sys.executable, "-m", "workers.operate", "prepare", "--json"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "Waiting for MongoDB" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 15
    assert process.returncode not in (0, None)
    assert (out, "Traceback" in err) == ("", False)

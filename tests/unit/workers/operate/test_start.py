"""What the command loads before it does anything: a person who asks for help waits for nothing that is not used."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.unit.workers.operate.conftest import Imports
from workers.operate.command import app
from workers.operate.salesforce import WAYS
from workers.sources.salesforce.grants import GRANTS

# Each takes from a tenth to a whole second of a processor.
HEAVY = ("PIL", "pillow_heif", "numpy", "simple_salesforce", "requests", "dramatiq", "obstore", "cryptography", "jwt", "structlog", "redis", "falcon")  # fmt: skip
STORE = ("pymongo", "bson", "rich", "pydantic", "common.documents.imports", "common.settings")
VERBS = [
    *([name] for name in ("prepare", "token", "queues", "list", "show", "retry", "cancel")),
    *(
        [name]
        for name in ("verify", "repair", "render", "rerender", "doctor", "organization", "user", "group")
    ),
    ["organization", "add"],
    ["user", "list"],
    ["group", "show"],
]
PROBE = """
import json, os, sys
from workers.operate.command import main
def told(code):
    sys.stderr.write(json.dumps(sorted(sys.modules)))
    sys.exit(code)
os._exit = told
main()
"""


def loaded_by(*words: str, env: dict[str, str] | None = None) -> set[str]:
    """Run a verb in a process of its own and return the modules that it ended with."""
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        env={"PATH": os.environ["PATH"], **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stderr.splitlines()[-1]))


@pytest.mark.parametrize("words", [[], *VERBS], ids=" ".join)
def test_help_loads_no_store_and_no_library_of_the_work(words: list[str]) -> None:
    """`--help`, of the command and of every verb, draws in neither drivers nor imaging nor logs nor settings."""
    assert not loaded_by(*words, "--help") & {*HEAVY, *STORE}


def test_every_verb_was_asked() -> None:
    """The list above has every verb and every group of verbs that the command has."""
    named = {one.name or one.callback.__name__ for one in app.registered_commands}  # type: ignore[union-attr]
    named |= {str(one.name) for one in app.registered_groups}
    assert named == {words[0] for words in VERBS}


@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("organization", "list"), ("user", "list"), ("group", "list")])  # fmt: skip
def test_a_list_loads_the_driver_of_mongodb_alone(imports: Imports, words: tuple[str, ...]) -> None:
    """A list reads documents: nothing of Redis, dramatiq, blobs, pictures, Salesforce or encryption is loaded for it."""
    loaded = loaded_by(*words, env=imports.env)
    assert "pymongo" in loaded
    assert not loaded & set(HEAVY)


def test_the_ways_of_logging_in_that_help_names_are_those_there_are() -> None:
    """Help names them without loading Salesforce's client, so it has a list of its own, which must not lag behind."""
    assert tuple(GRANTS) == WAYS


def test_the_end_waits_for_no_thread_of_the_driver(imports: Imports) -> None:
    """A list ends as it has been printed, whole, into a pipe too; the exit code is that of the verb."""
    imports.put("1a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0009")
    ended = imports.process("list", "--json")
    assert (ended.returncode, len(json.loads(ended.stdout))) == (0, 1)
    missing = imports.process("show", "1a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0000")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "There is no import" in missing.stderr


def test_a_pipe_that_is_closed_early_is_no_error_to_speak_of(imports: Imports) -> None:
    """`imports list | head` ends without a word on standard error."""
    imports.put("1a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0009")
    with subprocess.Popen(
        [sys.executable, "-m", "workers.operate", "list", "--json"],
        env={"PATH": os.environ["PATH"], **imports.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(timeout=30) == 1
    assert err == b""

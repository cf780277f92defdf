"""The sandbox starts a whole world, keeps it alive whatever is killed, and leaves nothing behind.

The stores and the simulated Salesforce are the real ones; the product's processes are stand-ins, but for
the one test that starts the product itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
import requests

from sandbox import stores
from tests.journey.sandboxes import (
    Sandbox,
    answers,
    children_of,
    eventually,
    is_alive,
    pids_of,
    procfile_of_standins,
    register,
)

URLS = ("base_url", "mongodb_url", "redis_url", "salesforce_url")


Start = Callable[..., Sandbox]


class Running:
    """A world on stand-ins that is up: its folder, its sandbox, and what its ready line said."""

    def __init__(self, start: Start, folder: Path, *options: str, **parts: str) -> None:
        self.folder = folder / "world"
        procfile = procfile_of_standins(folder, **parts)
        self.options = ("--data", self.folder, "--port", "0", "--procfile", procfile)
        self.sandbox = start(*self.options, *options)
        self.ready = self.sandbox.ready()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ending_all() as start:
        yield Running(start, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def start() -> Iterator[Start]:
    with ending_all() as start:
        yield start


@contextlib.contextmanager
def ending_all() -> Iterator[Start]:
    """Give a way to start sandboxes that are ended whatever becomes of the test."""
    started: list[Sandbox] = []

    def start(*options: str | Path, **more: Any) -> Sandbox:
        started.append(Sandbox(*options, **more))
        return started[-1]

    try:
        yield start
    finally:
        for sandbox in started:
            sandbox.end()


def test_ready_line_names_everything(running: Running) -> None:
    """Standard output is one JSON line with every promised field, and each address in it answers."""
    ready = running.ready
    assert ready["ready"] is True
    assert ready["dashboard_url"] == ready["base_url"] + "/dashboard"
    assert set(ready["pids"]) == {
        "mongodb", "redis", "salesforce", "web", "fetch", "render", "sweeper", "sandbox",
    }  # fmt: skip
    assert ready["pids"]["sandbox"] == running.sandbox.process.pid
    assert all(is_alive(pid) for pid in pids_of(ready))
    assert all(answers(ready[name]) for name in URLS)
    assert ready["token"] == f"token-of-{ready['user_id']}"
    with pymongo.MongoClient[dict[str, Any]](ready["mongodb_url"]) as client:
        organization = client.get_default_database().organizations.find_one({"_id": ready["organization_id"]})
    assert organization is not None
    assert organization["salesforce_url"] == ready["salesforce_url"]
    assert running.sandbox.lines.empty()


def test_sample_import_is_shown(running: Running) -> None:
    """People see the states of the sample import as they pass, and a command for the next one that works."""
    # The ready line comes first: a program that waits for it is not to wait for our words.
    eventually(lambda: "Ctrl-C ends everything" in running.sandbox.text)
    text = running.sandbox.text
    assert "sample import" in text
    assert text.index("  fetching") < text.index("  rendering") < text.index("  succeeded")
    assert running.ready["dashboard_url"] in text
    command = text[text.index("curl -H") :].split("\n\n", maxsplit=1)[0]
    posted = subprocess.run(  # the line as a person pastes it, past any proxy of the machine
        ["/bin/sh", "-c", f"{command} --silent --noproxy '*'"], capture_output=True, check=True, text=True
    ).stdout
    attachment = json.loads(posted)["params"]["attachment_id"][0]
    shown = requests.get(f"{running.ready['salesforce_url']}/_control/attachments", timeout=5).json()
    assert attachment in {entry["id"] for entry in shown}


def test_a_backlog_is_counted(running: Running) -> None:
    """What an earlier start has left to the sample's organization is counted, and nothing else."""
    organization_id = running.ready["organization_id"]
    kept = [("queued", organization_id), ("fetching", organization_id), ("rendering", organization_id)]
    kept += [("succeeded", organization_id), ("failed", organization_id), ("queued", "another")]
    with pymongo.MongoClient[dict[str, Any]](running.ready["mongodb_url"]) as client:
        imports = client.get_default_database().imports
        imports.insert_many([{"status": status, "organization_id": whose} for status, whose in kept])
        assert stores.unfinished(running.ready["mongodb_url"], organization_id) == 3
        imports.drop()


def test_embedded_stores_are_set_safely(running: Running) -> None:
    """The queues are kept in an append-only file and never evicted; MongoDB is named without retryable writes."""
    with redis.Redis.from_url(running.ready["redis_url"], decode_responses=True) as client:
        kept = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "dir")
    assert kept == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "dir": str(running.folder / "redis"),
    }
    assert running.ready["mongodb_url"].endswith("/imports?retryWrites=false")


def test_what_callers_sent_is_the_owners_alone(running: Running) -> None:
    """Nobody else on the machine reads documents, queues, pictures or logs: every process writes for us alone."""
    everything = [running.folder, *running.folder.rglob("*")]
    modes = {path: path.lstat().st_mode for path in everything if path.exists()}
    open_ = [path for path, mode in modes.items() if stat.S_IMODE(mode) & 0o077 and not stat.S_ISSOCK(mode)]
    assert open_ == []


def test_secrets_are_their_owners_alone(running: Running) -> None:
    """Nobody but the owner can read the secrets that the sandbox has made."""
    files = list((running.folder / "secrets").iterdir())
    made = {"token_secrets", "credentials_keys", "operator", "salesforce_client_secret"}
    assert {file.name for file in files} == made
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_second_start_is_refused(running: Running, start: Start) -> None:
    """A second sandbox on the same folder says who is there, and the first one does not notice."""
    second = start(*running.options)
    assert second.outcome() == 2
    assert f"process {running.sandbox.process.pid}" in second.text
    assert str(running.folder) in second.text
    assert "Traceback" not in second.text
    assert second.lines.empty()
    assert answers(running.ready["base_url"])


@pytest.mark.parametrize("name", ["web", "fetch", "sweeper", "mongodb", "redis", "salesforce"])
def test_killed_child_comes_back_alone(running: Running, name: str) -> None:
    """A killed child is started anew, on its port and its data, and all others keep running."""
    before = register(running.folder)
    with (
        pymongo.MongoClient[dict[str, Any]](running.ready["mongodb_url"]) as documents,
        redis.Redis.from_url(running.ready["redis_url"], decode_responses=True) as queues,
    ):
        documents.get_default_database().kept.insert_one({"_id": name})
        queues.set(name, "kept")
        time.sleep(1.1)  # the append-only file reaches the disk every second
        os.kill(before[name], signal.SIGKILL)
        after = eventually(
            lambda: (now := register(running.folder)).get(name) not in (None, before[name]) and now
        )
        eventually(lambda: all(answers(running.ready[url]) for url in URLS))
        assert eventually(lambda: documents.get_default_database().kept.find_one({"_id": name}))
        assert queues.get(name) == "kept"
    assert {other: pid for other, pid in after.items() if other != name} == {
        other: pid for other, pid in before.items() if other != name
    }


def test_workers_of_a_killed_master_end(running: Running) -> None:
    """What a killed master leaves behind is ended by the sandbox within five seconds."""
    master = eventually(lambda: register(running.folder).get("fetch"))
    workers = eventually(lambda: children_of([master]))
    os.kill(master, signal.SIGKILL)
    eventually(lambda: not any(is_alive(pid) for pid in workers), seconds=5)
    eventually(lambda: register(running.folder).get("fetch") not in (None, master))


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_end_leaves_nothing(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a closed terminal end every process within 15 s, with the ports and the spool."""
    running = Running(start, tmp_path, "--no-sample")
    everyone = pids_of(running.ready) | children_of(pids_of(running.ready))
    assert running.sandbox.end(number, seconds=15) == 0
    assert [pid for pid in everyone if is_alive(pid)] == []
    assert [name for name in URLS if answers(running.ready[name])] == []
    assert list((running.folder / "spool").iterdir()) == []
    assert "Traceback" not in running.sandbox.text


def test_stubborn_child_is_killed_in_time(start: Start, tmp_path: Path) -> None:
    """A process that will not end does not keep the sandbox from ending within 15 s."""
    folder, procfile = (
        tmp_path / "world",
        procfile_of_standins(tmp_path, render="stubborn", sweeper="stubborn"),
    )
    sandbox = start("--data", folder, "--port", "0", "--procfile", procfile, "--no-sample")
    ready = sandbox.ready()
    assert sandbox.end(seconds=15) == 0
    assert [pid for pid in pids_of(ready) if is_alive(pid)] == []


def test_start_that_is_cut_short_leaves_nothing(start: Start, tmp_path: Path) -> None:
    """Ctrl-C while the world is still coming up ends what was started so far."""
    folder = tmp_path / "world"
    sandbox = start("--data", folder, "--port", "0", "--procfile", procfile_of_standins(tmp_path))
    begun = eventually(lambda: (folder / "processes.json").exists() and register(folder))
    assert sandbox.end(seconds=15) == 130
    assert [pid for pid in begun.values() if is_alive(pid)] == []
    assert "Traceback" not in sandbox.text


def test_killed_sandbox_is_cleared_away_and_its_state_stays(start: Start, tmp_path: Path) -> None:
    """After kill -9 of the sandbox and of its stores, the next start ends the orphans and finds every write."""
    first = Running(start, tmp_path, "--no-sample")
    with (
        pymongo.MongoClient[dict[str, Any]](first.ready["mongodb_url"]) as documents,
        redis.Redis.from_url(first.ready["redis_url"]) as queues,
    ):
        queues.set("acknowledged", "yes")
        time.sleep(1.1)  # the append-only file reaches the disk every second
        documents.get_default_database().kept.insert_one({"_id": "acknowledged"})
        for pid in (first.sandbox.process.pid, first.ready["pids"]["mongodb"], first.ready["pids"]["redis"]):
            os.kill(pid, signal.SIGKILL)
    first.sandbox.outcome()
    orphans = {pid for pid in pids_of(first.ready) | children_of(pids_of(first.ready)) if is_alive(pid)}
    assert first.ready["pids"]["web"] in orphans

    second = Running(start, tmp_path, "--no-sample")
    assert [pid for pid in orphans if is_alive(pid)] == []
    for same in ("mongodb_url", "redis_url", "salesforce_url", "organization_id", "user_id", "token"):
        assert second.ready[same] == first.ready[same]
    with (
        pymongo.MongoClient[dict[str, Any]](second.ready["mongodb_url"]) as documents,
        redis.Redis.from_url(second.ready["redis_url"]) as queues,
    ):
        assert documents.get_default_database().kept.find_one({"_id": "acknowledged"})
        assert queues.get("acknowledged") == b"yes"
    assert second.sandbox.end() == 0


def test_stores_and_salesforce_of_the_environment_are_used(
    running: Running, start: Start, tmp_path: Path
) -> None:
    """Whatever the environment names is used in place of an embedded one, and is left running at the end."""
    secret = (running.folder / "secrets" / "salesforce_client_secret").read_text()
    environ = {
        "MONGODB_URL": running.ready["mongodb_url"].replace("/imports?", "/another?"),
        "REDIS_URL": running.ready["redis_url"],
        "SALESFORCE_URL": running.ready["salesforce_url"],
        "SALESFORCE_CLIENT_ID": "sandbox",
        "SALESFORCE_CLIENT_SECRET": secret,
    }
    options = ("--data", tmp_path / "world", "--port", "0", "--procfile", procfile_of_standins(tmp_path))
    guest = start(*options, environ=environ)
    ready = guest.ready()
    assert {name: ready[name] for name in ("mongodb_url", "redis_url", "salesforce_url")} == {
        "mongodb_url": environ["MONGODB_URL"],
        "redis_url": environ["REDIS_URL"],
        "salesforce_url": environ["SALESFORCE_URL"],
    }
    assert not {"mongodb", "redis", "salesforce"} & set(ready["pids"])
    assert "  succeeded" in guest.text
    assert guest.end() == 0
    assert all(answers(ready[name]) for name in ("mongodb_url", "redis_url", "salesforce_url"))


def test_a_shell_of_one_world_starts_another(running: Running, start: Start, tmp_path: Path) -> None:
    """Whoever has read DIR/env to look after one world comes up elsewhere on stores of its own, and is told."""
    read = f'. "{running.folder}/env"; exec "{sys.executable}" -c "import json, os; print(json.dumps(dict(os.environ)))"'
    shell = dict(json.loads(subprocess.check_output(["/bin/sh", "-c", read], text=True)))
    assert shell["MONGODB_URL"] == running.ready["mongodb_url"]
    options = ("--data", tmp_path / "world", "--port", "0", "--procfile", procfile_of_standins(tmp_path))
    other = start(*options, "--no-sample", environ=shell)
    ready = other.ready()
    assert {"mongodb", "redis"} <= set(ready["pids"])
    assert not {ready["mongodb_url"], ready["redis_url"]} & set(shell.values())
    assert "leaving out what a sandbox's env file set in this shell: " in other.text
    assert other.end() == 0


def test_port_in_use_is_refused(start: Start, tmp_path: Path) -> None:
    """A port that another program has is named in a sentence, and nothing is started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        sandbox = start("--data", tmp_path / "world", "--port", str(port))
        assert sandbox.outcome() == 2
    assert f"Port {port} is in use" in sandbox.text
    assert "Traceback" not in sandbox.text


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_folder_that_cannot_be_written_is_refused(start: Start, tmp_path: Path, place: str) -> None:
    """A folder that cannot be made is named in a sentence."""
    (tmp_path / "file").touch()
    sandbox = start("--data", tmp_path / place)
    assert sandbox.outcome() == 2
    assert "cannot be written" in sandbox.text
    assert "Traceback" not in sandbox.text


def test_failed_release_step_ends_the_start(start: Start, tmp_path: Path) -> None:
    """A release step that fails ends everything with code 1, and its own words stand above."""
    procfile = procfile_of_standins(tmp_path)
    procfile.write_text(procfile.read_text().replace(" prepare", " -c 'nothing to see'", 1))
    sandbox = start("--data", tmp_path / "world", "--port", "0", "--procfile", procfile)
    assert sandbox.outcome() == 1
    assert "The release step failed" in sandbox.text
    assert not (tmp_path / "world" / "processes.json").exists()


def test_sleeping_reader_of_our_words_stops_nothing(start: Start, tmp_path: Path) -> None:
    """When nobody reads standard error, processes that say much still run and the ready line still comes."""
    procfile = procfile_of_standins(tmp_path, render="chatter")
    sandbox = Sandbox(
        "--data", tmp_path / "world", "--port", "0", "--procfile", procfile, "--no-sample", listen=False
    )
    ready = sandbox.ready()
    log = tmp_path / "world" / "logs" / "render.log"
    eventually(lambda: "said everything" in log.read_text()[-100:])
    assert is_alive(ready["pids"]["render"])
    assert sandbox.end(seconds=15) == 0


def test_the_product_itself(start: Start, tmp_path: Path) -> None:
    """With the checkout's own Procfile the sample import succeeds, and the workers are known one by one."""
    sandbox = start("--data", tmp_path / "world", "--port", "0")
    ready = sandbox.ready(90)
    assert "  succeeded" in sandbox.text
    for name, workers in (("fetch", 1), ("render", 2)):
        master, *others = ready["pids"][name]
        assert len(others) == workers
        assert set(others) <= children_of([master])
    everyone = pids_of(ready) | children_of(pids_of(ready))
    assert sandbox.end(seconds=15) == 0
    assert [pid for pid in everyone if is_alive(pid)] == []
    assert "Traceback" not in sandbox.text

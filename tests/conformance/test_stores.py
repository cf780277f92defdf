"""Check that the stores under the tests are what they claim: fresh for each test, durable, gone afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

from common.settings import TABLE
from tests.stores import Server, run_secantus, run_valkey


@pytest.mark.parametrize("_round", [1, 2])
def test_each_test_finds_an_empty_document_database(mongodb_url: str, _round: int) -> None:
    """What one test writes is never what another one reads."""
    with pymongo.MongoClient[dict[str, Any]](mongodb_url) as client:
        things = client.get_default_database().things
        assert list(things.find()) == []
        things.insert_one({"_id": "kept"})


@pytest.mark.parametrize("_round", [1, 2])
def test_each_test_finds_an_empty_redis_database(redis_url: str, _round: int) -> None:
    """What one test enqueues is never what another one takes."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("kept", "1")


def _write_document(server: Server) -> None:
    with pymongo.MongoClient[dict[str, Any]](server.url) as client:
        client.kept.things.insert_one({"_id": "acknowledged"})


def _read_document(server: Server) -> bool:
    with pymongo.MongoClient[dict[str, Any]](server.url) as client:
        return client.kept.things.find_one({"_id": "acknowledged"}) is not None


def _write_key(server: Server) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set("acknowledged", "1")


def _read_key(server: Server) -> bool:
    with redis.Redis.from_url(server.url) as client:
        return bool(client.get("acknowledged") == b"1")


@pytest.mark.parametrize(
    ("run", "write", "read"),
    [(run_secantus, _write_document, _read_document), (run_valkey, _write_key, _read_key)],
    ids=["secantus", "valkey"],
)
def test_a_killed_store_keeps_what_it_acknowledged(
    tmp_path: Path,
    run: Callable[[Path], AbstractContextManager[Server]],
    write: Callable[[Server], None],
    read: Callable[[Server], bool],
) -> None:
    """A fault test that kills a store may blame us for every lost write, never the store's configuration."""
    with run(tmp_path / "store") as server:
        write(server)
        os.kill(server.pid, signal.SIGKILL)
    with run(tmp_path / "store") as server:
        assert read(server)
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_our_settings_are_not_taken_from_the_environment() -> None:
    """A deployment's MONGODB_URL in the shell never reaches a test or the processes that it starts."""
    assert [setting.name for setting in TABLE if setting.name in os.environ] == []

"""`prepare` makes the indexes, waits for MongoDB, and warns of stores that could lose work."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import redis

from common.documents import database
from tests.stores import free_port, run_secantus
from tests.unit.workers.operate.conftest import Imports
from workers.operate import preparing


def test_the_indexes_are_those_that_the_doctor_looks_for(imports: Imports) -> None:
    """Made twice they are there once, and the doctor's list is the whole of them: no index is forgotten."""
    told = imports.json("prepare")
    assert told["prepared"] is True
    imports.json("prepare")
    there = {
        (collection, tuple(index["key"]), bool(index.get("sparse")))
        for collection in imports.db.list_collection_names()
        for index in imports.db[collection].list_indexes()
        if index["name"] != "_id_"
    }
    assert there == {
        (collection, tuple(index.document["key"]), bool(index.document.get("sparse")))
        for collection, index in database.INDEXES
    }
    assert database.missing_indexes(imports.db) == []
    imports.db.imports.drop_index("created_at_1")
    assert database.missing_indexes(imports.db) == ["imports(created_at)"]


def test_an_evicting_redis_is_warned_about(imports: Imports) -> None:
    """A warning names the setting; with STRICT_STORES it stops the release."""
    with redis.Redis.from_url(imports.env["REDIS_URL"]) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            told = imports.json("prepare")
            strict = imports.run("prepare", "--json", STRICT_STORES="true")
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert any("maxmemory-policy noeviction" in warning for warning in told["warnings"])
    assert (strict.exit_code, strict.stdout) == (1, "")


def test_it_gives_up_on_a_mongodb_that_never_comes(imports: Imports) -> None:
    """One sentence with the host and without the password, exit code 1, within the wait that was named."""
    url = f"mongodb://user:hunter2@127.0.0.1:{free_port()}/imports"
    result = imports.run("prepare", "--wait", "0.5", "--json", MONGODB_URL=url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not answer" in result.stderr
    assert "hunter2" not in result.output


def test_it_waits_for_a_mongodb_that_comes_late(
    imports: Imports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release step that begins before its store tells for what it waits, and then does its work."""
    monkeypatch.setattr(preparing, "NEWS_SECONDS", 0.1)
    port, done = free_port(), threading.Event()

    def late() -> None:
        time.sleep(1)
        with run_secantus(tmp_path / "late", port=port):
            done.wait(60)

    server = threading.Thread(target=late)
    server.start()
    try:
        url = f"mongodb://127.0.0.1:{port}/imports?retryWrites=false"
        result = imports.run("prepare", "--json", MONGODB_URL=url)
    finally:
        done.set()
        server.join()
    assert result.exit_code == 0, result.output
    assert "Waiting for MongoDB" in result.stderr

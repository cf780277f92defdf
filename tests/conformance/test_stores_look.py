"""Processes look at real stores as they start: a queue that evicts is told of, and fatal where strict."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from cryptography.fernet import Fernet

from common.documents import safety as documents_safety
from common.queue import safety as queue_safety
from common.queue.broker import door_client
from tests.stores import free_port

DRAMATIQ = "dramatiq workers.main:start --queues fetch --processes 1 --threads 1"
PROCESSES = {
    "web": ["-m", "ingest.main"],
    "fetch": ["-m", *DRAMATIQ.split()],
    "sweeper": ["-m", "workers.sweeper"],
}


def test_the_embedded_stores_are_safe(mongodb_url: str, redis_url: str) -> None:
    """What the sandbox and these tests run on is set as production is to be set: nothing is warned of."""
    found = documents_safety.look(mongodb_url)
    with door_client(redis_url) as client:
        found = [*(found or []), *(queue_safety.look(client) or [])]
    assert {check.name: check.state for check in found} == dict.fromkeys(
        ("replica set", "journal", "append-only file", "eviction"), "ok"
    )


def test_a_store_that_is_away_is_no_finding() -> None:
    """Whoever starts before its stores is not told that they are unsafe."""
    port = free_port()
    assert documents_safety.look(f"mongodb://127.0.0.1:{port}/x?serverSelectionTimeoutMS=200") is None
    with door_client(f"redis://127.0.0.1:{port}/0") as client:
        assert queue_safety.look(client) is None


@pytest.mark.parametrize("process", PROCESSES)
def test_strict_stores_stop_every_process(
    process: str, mongodb_url: str, redis_url: str, tmp_path: Path
) -> None:
    """A Redis that evicts, and STRICT_STORES: the process ends by itself, not with 0, and says why."""
    env = {
        "PATH": os.environ["PATH"],
        "MONGODB_URL": mongodb_url,
        "REDIS_URL": redis_url,
        "BLOBS_URL": f"file://{tmp_path}/blobs",
        "SPOOL_DIR": str(tmp_path / "spool"),
        "TOKEN_SECRETS": "5e1f0c9a7b3d48620f9e8d7c6b5a4132",
        "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
        "PORT": str(free_port()),
        "STRICT_STORES": "true",
    }
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            ended = subprocess.run(
                [sys.executable, *PROCESSES[process]],
                env=env,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0, said
    assert "maxmemory-policy noeviction" in said
    assert "STRICT_STORES" in said

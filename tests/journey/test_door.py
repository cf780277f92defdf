"""The web process as the Procfile starts it, on real stores that come and go."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

from common import tokens
from common.documents.database import database, prepare
from common.documents.organizations import Organizations
from common.documents.users import Users
from common.queue import depth, presence
from tests.doors import ORGANIZATION_ID, SECRET, USER_ID
from tests.stores import free_port, run_secantus, run_valkey

ROOT = Path(__file__).resolve().parents[2]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODY = "attachment_id=00P4I00000zyw3eUAA&filename=Image123.jpg"


@dataclass
class Web:
    """A running web process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def call(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, Any]:
        """Send one request on a connection of its own; returns status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        token = tokens.mint(USER_ID, secret=SECRET, now=time.time())
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Authorization": f"Bearer {token}", **FORM, **headers})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")

    def post(self) -> tuple[int, Any]:
        return self.call("POST", "/api/v1/imports", BODY)

    def becomes(self, status: int, path: str = "/readyz", *, seconds: float = 30.0) -> bool:
        """Wait until a path answers a status."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.call("GET", path)[0] == status:
                    return True
            time.sleep(0.1)
        return False


def environment(mongodb_url: str, redis_url: str, blobs: Path, port: int) -> dict[str, str]:
    """Return what a web process is told."""
    return {
        **os.environ,
        "MONGODB_URL": mongodb_url,
        "REDIS_URL": redis_url,
        "BLOBS_URL": f"file://{blobs}",
        "TOKEN_SECRETS": SECRET,
        "PORT": str(port),
        "BODY_SECONDS": "3",
    }


@contextlib.contextmanager
def run_web(mongodb_url: str, redis_url: str, blobs: Path) -> Iterator[Web]:
    """Run a web process until the end of a test."""
    port = free_port()
    log = blobs.with_name(f"{blobs.name}.log")
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest.main"],
            cwd=ROOT,
            env=environment(mongodb_url, redis_url, blobs, port),
            stderr=sink,
        )
    web = Web(process, port, log)
    try:
        assert web.becomes(200, "/livez"), log.read_text()
        yield web
    finally:
        process.kill()
        process.wait()


def populate(mongodb_url: str) -> None:
    """Make the indexes, an organization and its user."""
    with pymongo.MongoClient[dict[str, Any]](mongodb_url, tz_aware=True) as client:
        db = database(client)
        prepare(db)
        now = datetime.now(UTC)
        Organizations(db).add(ORGANIZATION_ID, name="o", source={"type": "salesforce"}, now=now)
        Users(db).add(USER_ID, organization_id=ORGANIZATION_ID, now=now)


def test_a_post_is_durable_rung_for_and_shown(mongodb_url: str, redis_url: str, tmp_path: Path) -> None:
    """Over real sockets and real stores: the document, its message, and what GET and /metrics tell of it."""
    populate(mongodb_url)
    with run_web(mongodb_url, redis_url, tmp_path) as web, redis.Redis.from_url(redis_url) as client:
        assert web.becomes(200)
        status, posted = web.post()
        assert status == 200
        assert web.call("GET", f"/api/v1/imports/{posted['id']}")[1]["status"] == "queued"
        end = time.monotonic() + 10
        while depth.depths(client, now=time.time())[0].waiting != 1 and time.monotonic() < end:
            time.sleep(0.05)
        assert depth.depths(client, now=time.time())[0].waiting == 1
        assert [one.process for one in presence.alive(client)] == ["web"]
        with pymongo.MongoClient[dict[str, Any]](mongodb_url, tz_aware=True) as documents:
            kept = database(documents).imports.find_one({"_id": posted["id"]})
        assert kept is not None
        assert kept["organization_id"] == ORGANIZATION_ID
        assert kept["due_at"] > kept["created_at"]
        assert posted["id"] not in web.log.read_text(), "the log names routes, not paths"
        assert "Image123" not in web.log.read_text()


def test_a_disabled_user_is_refused_within_a_second(mongodb_url: str, redis_url: str, tmp_path: Path) -> None:
    """The token stays as good as it was; the user behind it does not."""
    populate(mongodb_url)
    with run_web(mongodb_url, redis_url, tmp_path) as web:
        assert web.becomes(200)
        assert web.post()[0] == 200
        with pymongo.MongoClient[dict[str, Any]](mongodb_url, tz_aware=True) as client:
            Users(database(client)).disable(USER_ID, now=datetime.now(UTC))
        time.sleep(1)
        assert web.post()[0] == 401


def test_redis_away_costs_a_post_nothing(mongodb_url: str, tmp_path: Path) -> None:
    """Killed, paused or never there: 200, durable, and ready all the same."""
    populate(mongodb_url)
    with (
        run_valkey(tmp_path / "valkey") as server,
        run_web(mongodb_url, f"{server.url}/0", tmp_path / "blobs") as web,
    ):
        assert web.becomes(200)
        os.kill(server.pid, signal.SIGSTOP)
        assert [web.post()[0] for _ in range(20)] == [200] * 20
        os.kill(server.pid, signal.SIGKILL)
        assert [web.post()[0] for _ in range(20)] == [200] * 20
        time.sleep(1.1)  # one look at Redis serves everybody for a second
        status, said = web.call("GET", "/readyz")
        assert (status, said["redis"]) == (200, "down")
    with pymongo.MongoClient[dict[str, Any]](mongodb_url) as client:
        assert database(client).imports.count_documents({"status": "queued"}) == 40


def test_mongodb_away_is_503_until_it_is_back(redis_url: str, tmp_path: Path) -> None:
    """The process starts without it, says so, serves when it comes, answers 503 in time when it hangs or goes."""
    port = free_port()
    url = f"mongodb://127.0.0.1:{port}/imports?retryWrites=false"
    with run_web(url, redis_url, tmp_path / "blobs") as web:
        assert web.call("GET", "/readyz")[0] == 503
        assert web.post()[0] == 503
        with run_secantus(tmp_path / "secantus", port=port) as server:
            populate(url)
            assert web.becomes(200)
            assert web.post()[0] == 200
            os.kill(server.pid, signal.SIGSTOP)
            begun = time.monotonic()
            assert web.post()[0] == 503
            assert time.monotonic() - begun < 6, "three times the two seconds that are promised"
            os.kill(server.pid, signal.SIGKILL)
        begun = time.monotonic()
        assert web.post()[0] == 503
        assert time.monotonic() - begun < 6
        with run_secantus(tmp_path / "secantus", port=port):
            assert web.becomes(200)
            assert web.post()[0] == 200


def test_sigterm_lets_a_request_in_hand_finish(mongodb_url: str, redis_url: str, tmp_path: Path) -> None:
    """A body that is still arriving is read and answered 200; newcomers are not let in; the exit is 0."""
    populate(mongodb_url)
    with run_web(mongodb_url, redis_url, tmp_path) as web:
        assert web.becomes(200)
        token = tokens.mint(USER_ID, secret=SECRET, now=time.time())
        with socket.create_connection(("127.0.0.1", web.port), 20) as slow:
            slow.sendall(
                (
                    "POST /api/v1/imports HTTP/1.1\r\nHost: a\r\n"
                    f"Authorization: Bearer {token}\r\nContent-Length: 10\r\n\r\n"
                ).encode()
                + b"album_"
            )
            time.sleep(0.3)
            web.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(ConnectionError):
                web.call("GET", "/livez")
            slow.sendall(b"id=a")
            assert slow.recv(65_536).startswith(b"HTTP/1.1 200")
        assert web.process.wait(10) == 0


def test_a_port_in_use_is_one_clear_sentence(redis_url: str, tmp_path: Path) -> None:
    """Exit 2, the address and what to set; no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = environment("mongodb://127.0.0.1:1/imports", redis_url, tmp_path, port)
        ended = _run(told)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in ended.stderr


def test_settings_that_cannot_be_used_are_told_together(redis_url: str, tmp_path: Path) -> None:
    """Exit 2 with every mistake, and none of the secrets."""
    told = environment("mongodb://127.0.0.1:1/", redis_url, tmp_path, 0)
    ended = _run({**told, "TOKEN_SECRETS": "planted-short"})
    assert ended.returncode == 2
    assert all(name in ended.stderr for name in ("MONGODB_URL", "TOKEN_SECRETS", "PORT"))
    assert "planted-short" not in ended.stderr
    assert "Traceback" not in ended.stderr


def _run(told: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ingest.main"],
        cwd=ROOT,
        env=told,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

"""What somebody else writes into our keys in Redis delays imports by seconds: all of it is a hint."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from cryptography.fernet import Fernet

from common.documents.database import Document
from common.queue.broker import consumer, worker_client
from common.queue.dispatch import OVERDUE_SECONDS
from common.queue.foreign import foreign
from common.queue.jobs import JOBS, FetchAttachment, message
from tests.conformance.test_sweep import World
from workers.actors import register

OTHER = f"other|{uuid.uuid4()}"
FAR = 4_000_000_000_000  # ms; a bell that is not lost yet


@pytest.fixture
def world(mongodb_url: str, redis_url: str) -> Iterator[World]:
    world = World(mongodb_url, redis_url)
    yield world
    world.mongodb.close()
    world.redis.close()


def _sweep(world: World, *, seconds: float) -> None:
    """Look every three seconds for so long."""
    for _ in range(int(seconds / 3)):
        world.wait(3)
        world.sweeper.tick()


def _is_dispatched(world: World, one: Document) -> bool:
    messages: Any = world.redis.hvals("dramatiq:fetch.msgs")
    return any(one["_id"].encode() in message for message in messages)


def _text(name: str) -> Callable[[World], Any]:
    def write(world: World) -> None:
        world.redis.delete(name)
        world.redis.set(name, "x")

    return write


def _dispatched_with_a_strange_message(world: World) -> None:
    world.redis.zadd("imports:dispatched:fetch", {OTHER: FAR})
    world.redis.hset("imports:messages:fetch", OTHER, b"\xff")


def _of_another_kind(name: str) -> Callable[[World], Any]:
    def write(world: World) -> None:
        world.redis.delete(name)
        world.redis.sadd(name, "x")

    return write


UNREADABLE: dict[str, Callable[[World], Any]] = {
    "one dispatched without an import": lambda world: world.redis.zadd(
        "imports:dispatched:fetch", {"nopipe": 1}
    ),
    "one dispatched that is no text": lambda world: world.redis.zadd(
        "imports:dispatched:fetch", {b"org|\xff": 1}
    ),
    "an overdue one whose message is no text": lambda world: (
        world.redis.zadd("imports:dispatched:fetch", {OTHER: 1}),
        world.redis.hset("imports:messages:fetch", OTHER, b"\xff"),
    ),
    "one dispatched whose message is no text": _dispatched_with_a_strange_message,
    "a count that is no number": lambda world: world.redis.hset("imports:active:fetch", "org", "abc"),
    "a count beyond all numbers": lambda world: world.redis.hset("imports:active:fetch", "org", "9" * 400),
    "a turn that is no number": lambda world: world.redis.set("imports:turn", "abc"),
    "a tally that is no number": lambda world: world.redis.hset("imports:tallies", "swept|reason=asked", "x"),
    "an organization that is no text": lambda world: world.redis.zadd("imports:backlogs:fetch", {b"\xff": 0}),
    "imports that are no text": lambda world: world.redis.zadd(
        "imports:backlog:fetch:org", {b"\xff": 0, b"\xfe": 0}
    ),
    "an epoch that is no text": lambda world: world.redis.set("imports:epoch", b"\xff"),
}
OF_ANOTHER_TYPE: dict[str, Callable[[World], Any]] = {
    name: _text(name)
    for name in (
        "imports:dispatched:fetch",
        "imports:dispatched:render",
        "imports:messages:fetch",
        "imports:active:fetch",
        "imports:backlogs:fetch",
        "imports:delayed:fetch",
        "imports:recent",
        "imports:backlog:fetch:org",
        "dramatiq:fetch",
        "dramatiq:fetch.msgs",
        "dramatiq:fetch.XQ",
        "dramatiq:__heartbeats__",
    )
} | {name: _of_another_kind(name) for name in ("imports:epoch", "imports:turn")}


@pytest.mark.parametrize("write", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_stops_no_import(world: World, write: Callable[[World], Any]) -> None:
    """The sweeper goes on, and imports from before and after are rung within a few looks."""
    before = world.put()
    write(world)
    _sweep(world, seconds=OVERDUE_SECONDS + 6)
    assert _is_dispatched(world, before)
    after = world.put()
    _sweep(world, seconds=9)
    assert _is_dispatched(world, after)
    members: Any = world.redis.zrange("imports:dispatched:fetch", 0, -1)
    assert not {b"nopipe", b"org|\xff", b"org|\xfe"} & set(members)
    assert b"\xff" not in world.redis.zrange("imports:backlogs:fetch", 0, -1)  # type: ignore[operator]
    assert b"\xff" not in world.redis.zrange("imports:backlog:fetch:org", 0, -1)  # type: ignore[operator]


@pytest.mark.parametrize("write", OF_ANOTHER_TYPE.values(), ids=OF_ANOTHER_TYPE.keys())
def test_a_key_of_another_type_is_removed_and_stops_no_import(
    world: World, write: Callable[[World], Any]
) -> None:
    """One foreign SET stops neither everybody's imports nor one organization's."""
    before = world.put()
    write(world)
    _sweep(world, seconds=OVERDUE_SECONDS + 6)
    assert _is_dispatched(world, before)
    assert foreign(world.redis) == []


@pytest.mark.parametrize(
    "name", ["imports:dispatched:fetch", "imports:active:fetch", "imports:backlog:fetch:org"]
)
def test_what_a_removed_key_knew_is_asked_for_again(world: World, name: str) -> None:
    """Bells whose key was overwritten hold no place for ever, even where their messages are lost as well."""
    put = [world.put() for _ in range(3)]
    world.sweeper.tick()
    assert world.messages() == 2
    _text(name)(world)
    world.hear_all()
    _sweep(world, seconds=OVERDUE_SECONDS + 6)
    found = [one for one in put if _is_dispatched(world, one)]
    assert len(found) == 2
    for one in found:
        world.imports.end(
            world.get(one), "canceled", code=None, detail="", retryable=False, now=world.clock()
        )
        world.dispatcher.finish("fetch", "org", one["_id"])
    assert all(_is_dispatched(world, one) for one in put)


def test_what_is_foreign_is_named_and_nothing_else(world: World) -> None:
    """Whoever looks is told the key; keys of ours, of others and of no stage of ours are left alone."""
    for _ in range(3):
        world.put()
    world.sweeper.tick()
    world.redis.set("imports:dispatched:nostage", "x")
    world.redis.set("elsewhere", "x")
    assert foreign(world.redis) == []
    world.redis.set("imports:backlog:fetch:a:b", "x")
    assert foreign(world.redis) == ["imports:backlog:fetch:a:b"]


def test_what_nobody_foresaw_ends_no_sweeper(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that fails unexpectedly is one look less."""
    one = world.put()
    with monkeypatch.context() as patched:
        patched.setattr(world.dispatcher, "enqueue", _breaks)
        world.sweeper.tick()
    assert not _is_dispatched(world, one)
    _sweep(world, seconds=6)
    assert _is_dispatched(world, one)


def test_a_sweeper_lives_with_what_it_cannot_read(
    world: World, mongodb_url: str, redis_url: str, tmp_path: Path
) -> None:
    """The process itself: with a bell, a room and a canceled group of no known shape, it rings and goes on."""
    world.redis.zadd("imports:dispatched:fetch", {"nopipe": 1})
    world.redis.set("imports:backlog:fetch:org", "x")
    world.db.import_groups.insert_one({"_id": "g", "canceling": True})
    one = world.put()
    env = {
        "PATH": os.environ["PATH"],
        "MONGODB_URL": mongodb_url,
        "REDIS_URL": redis_url,
        "BLOBS_URL": f"file://{tmp_path}/blobs",
        "TOKEN_SECRETS": "5e1f0c9a7b3d48620f9e8d7c6b5a4132",
        "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
        "SWEEP_SECONDS": "0.5",
    }
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.sweeper"], env=env, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until and process.poll() is None and not _is_dispatched(world, one):
                time.sleep(0.2)
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert _is_dispatched(world, one)
        finally:
            process.terminate()
            code = process.wait(30)
    told = (tmp_path / "said").read_text()
    assert code == 0, told
    assert "part of a look failed" in told  # the group, which is met at every look


def _breaks(*_: object, **__: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("name", ["dramatiq:fetch", "dramatiq:__heartbeats__"])
def test_a_worker_removes_a_foreign_key_by_itself(
    redis_url: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so once, whether it waited or worked meanwhile, and takes the next message as if nothing had been."""
    seen: list[str] = []
    broker = consumer(worker_client(redis_url), [])
    register(broker, answering=dict.fromkeys(JOBS, seen.append))
    worker = dramatiq.Worker(broker, queues={"fetch"}, worker_threads=2, worker_timeout=100)
    worker.start()
    client = redis.Redis.from_url(redis_url)
    try:
        _text_in(client, name)
        until = time.monotonic() + 30
        while client.type(name) == b"string" and time.monotonic() < until:
            time.sleep(0.1)
        one = str(uuid.uuid4())
        broker.enqueue(message(FetchAttachment(one)))
        while one not in seen and time.monotonic() < until:
            time.sleep(0.1)
        assert seen == [one]
    finally:
        worker.stop()
        broker.close()
        client.close()
    said = capsys.readouterr().out
    assert said.count("keys of another type removed") == 1
    assert "queue away" not in said


def _text_in(client: redis.Redis, name: str) -> None:
    client.delete(name)
    client.set(name, "x")

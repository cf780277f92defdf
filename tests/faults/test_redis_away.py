"""Redis in every kind of trouble: nobody who posts notices, and everything is done soon after it is well.

Redis holds hints only; the documents say what is due. So each row posts while the trouble lasts, every POST
is answered 200 without waiting for Redis, and after it the consumers are back by themselves.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.faults.ground import ANSWER_SECONDS, SLACK, Ground

Trouble = Callable[[Ground], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with Ground(tmp_path_factory.mktemp("ground")) as ground:
        yield ground


def everything(folder: Path) -> None:
    """Remove what Redis has written."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def emptied(ground: Ground) -> Iterator[None]:
    """Lose all keys while consumers are connected, before and after what the block posts."""
    ground.world.redis.flushall()
    yield
    ground.world.redis.flushall()


@contextlib.contextmanager
def read_only(ground: Ground) -> Iterator[None]:
    """Make it the replica of a host that is not there, as a failover gone wrong does."""
    ground.world.redis.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        ground.world.redis.replicaof("NO", "ONE")


@contextlib.contextmanager
def full(ground: Ground) -> Iterator[None]:
    """Leave no memory for anything new."""
    ground.world.redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        ground.world.redis.config_set("maxmemory", "0")


TROUBLES: dict[str, Trouble] = {
    "refuses": lambda ground: ground.redis.weather(refuse=True),
    "resets": lambda ground: ground.redis.weather(reset=True),
    "stalls": lambda ground: ground.redis.weather(stall=True),
    "hears nothing": lambda ground: ground.redis.weather(lose="up"),
    "is not heard": lambda ground: ground.redis.weather(lose="down"),
    "is far away": lambda ground: ground.redis.weather(latency=0.3),
    "is cut off in its answers": lambda ground: ground.redis.weather(close_after=700),
    "is frozen": lambda ground: ground.frozen("redis"),
    "is killed": lambda ground: ground.killed("redis"),
    "starts empty": lambda ground: ground.killed("redis", forget=everything),
    "is emptied": emptied,
    "is read-only": read_only,
    "is out of memory": full,
}
TELLERS = ("web", "sweeper", "fetch", "render", "render")  # each may say it once
QUICK = ("is not heard", "is frozen", "starts empty", "is read-only")  # refusal: as it is told once, below


def rows() -> list[object]:
    """Every trouble with a handful of imports or, in the full matrix, with many."""
    few = [
        pytest.param(kind, 8, id=kind, marks=[] if kind in QUICK else [pytest.mark.slow]) for kind in TROUBLES
    ]
    many = [
        pytest.param(kind, 200, id=f"{kind}, many", marks=[pytest.mark.slow, pytest.mark.timeout(600)])
        for kind in TROUBLES
    ]
    return [*few, *many]


@pytest.mark.parametrize(("kind", "count"), rows())
def test_redis_in_trouble_costs_time_only(ground: Ground, kind: str, count: int) -> None:
    """200 at once while it lasts, all done after it, without an operator and without an attempt counted."""
    since = ground.place()
    before, _ = ground.post(count // 2)
    with TROUBLES[kind](ground):
        during, longest = ground.post(count - count // 2)
        assert longest < ANSWER_SECONDS * SLACK / 2, "a POST waited for Redis"
        time.sleep(3)  # long enough for everybody to find out
    ground.heals(since)
    kept = ground.kept([*before, *during])
    assert [one for one, document in kept.items() if document["attempts"]] == []


def test_a_doorbell_whose_answer_is_lost_is_rung_for_once(ground: Ground) -> None:
    """The script that takes the bell has run, its reply is gone: the import is fetched and rendered once."""
    since = ground.place()
    ground.redis.drop_reply(b"EVALSHA")
    ids, _ = ground.post(3)
    ground.heals(since)
    assert ground.redis.dropped >= 1
    for document in ground.kept(ids).values():
        events = [entry["event"] for entry in document["history"]]
        assert events.count("fetched") == events.count("succeeded") == 1


def test_an_outage_of_redis_is_told_once(ground: Ground) -> None:
    """A minute's worth of lines would hide what else is wrong: each process says it, and says when it is over."""
    since = ground.place()
    with ground.redis.weather(refuse=True):
        time.sleep(5)
        ground.post(4)
        time.sleep(2)
    ground.heals(since)
    ground.post(1)  # the door finds out by ringing
    ground.heals(since)
    away = ground.said(since, "store away|queue away|bell cannot ring")
    back = ground.said(since, "store back|queue back|bell rings again")
    assert 3 <= len(away) == len(back) <= len(TELLERS), (away, back)
    others = [line for line in ground.said(since, "warning|error|critical") if line not in away + back]
    assert others == []

"""Workers are up when as many as were asked for have written their names down, dead ones apart."""

from __future__ import annotations

import os
from typing import Any

import fakeredis
import pytest
import redis

from common.queue import presence
from sandbox import workers_up


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["dramatiq", "a:b", "--queues", "fetch", "--processes", "2", "--threads", "8"], 2),
        (["dramatiq", "a:b", "-p", "3"], 3),
        (["dramatiq", "a:b"], 1),
        (["python", "-m", "workers.sweeper"], 0),
    ],
)
def test_expected_workers(words: list[str], count: int) -> None:
    """The command itself says how many workers its master is to have."""
    assert workers_up.expected(words) == count


def test_dead_names_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of an earlier run are still there after a kill; only living members of the group count."""
    server = fakeredis.FakeServer()

    def client(*_args: Any, **_options: Any) -> fakeredis.FakeRedis:
        return fakeredis.FakeRedis(server=server)

    monkeypatch.setattr(redis.Redis, "from_url", client)
    masters = {"fetch": (os.getpgrp(), 1)}
    presence.beat(client(), "fetch:host:999999999")
    assert workers_up.missing("redis://x", masters) == ["fetch"]
    presence.beat(client(), f"fetch:host:{os.getpid()}")
    assert workers_up.missing("redis://x", masters) == []


def test_redis_away_is_nobody_up() -> None:
    """Without Redis nobody is known to be up, and that is no error."""
    assert workers_up.missing("redis://127.0.0.1:1/0", {"fetch": (os.getpgrp(), 1)}) == ["fetch"]

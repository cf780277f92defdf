"""Calls at once to one organization stay few, all workers together, and nobody's death takes a place away."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import pytest
import redis

from workers import lanes
from workers.failures import Throttled
from workers.lanes import RedisLanes


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "WAIT_SECONDS", 0.2)


def test_places_are_counted_over_all_workers(redis_url: str) -> None:
    """A third call finds no place among two, whoever has them; one that ends gives its place to the next."""
    workers = [RedisLanes(redis.Redis.from_url(redis_url), "org", places=2) for _ in range(3)]
    with contextlib.ExitStack() as held:
        first = workers[0].lane()
        first.__enter__()
        held.enter_context(workers[1].lane())
        with pytest.raises(Throttled) as caught, workers[2].lane():
            pass
        assert (caught.value.scope, caught.value.waiting_for) == ("import", "salesforce_concurrency")
        first.__exit__(None, None, None)
        held.enter_context(workers[2].lane())
    with redis.Redis.from_url(redis_url) as client:
        assert client.zcard("imports:lanes:org") == 0


def test_many_threads_never_exceed_the_places(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve threads with three places: never four at once, and all have their turn."""
    monkeypatch.setattr(lanes, "WAIT_SECONDS", 20.0)
    lane, lock = RedisLanes(redis.Redis.from_url(redis_url), "org", places=3), threading.Lock()
    now, most, done = 0, 0, 0

    def call() -> None:
        nonlocal now, most, done
        with lane.lane():
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.05)
            with lock:
                now, done = now - 1, done + 1

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, done) == (3, 12)


def test_a_call_that_goes_on_keeps_its_place(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While bytes come the place is prolonged, beyond its lease."""
    monkeypatch.setattr(lanes, "PROLONG_SECONDS", 0.0)
    client = redis.Redis.from_url(redis_url)
    lane, other = (RedisLanes(client, "org", places=1, lease=0.5) for _ in range(2))
    with lane.lane() as prolong:
        for _ in range(8):
            time.sleep(0.1)
            prolong()
        with pytest.raises(Throttled), other.lane():
            pass


def _hold(url: str, taken: Any) -> None:
    with RedisLanes(redis.Redis.from_url(url), "org", places=1, lease=1.0).lane():
        taken.put(True)
        time.sleep(60)


def test_a_killed_worker_leaves_no_place_taken(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After kill -9 the place is free as soon as its lease is over."""
    monkeypatch.setattr(lanes, "WAIT_SECONDS", 10.0)
    fresh = multiprocessing.get_context("spawn")
    taken = fresh.Queue()
    process = fresh.Process(target=_hold, args=(redis_url, taken))
    process.start()
    assert taken.get(timeout=20) is True
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    with RedisLanes(redis.Redis.from_url(redis_url), "org", places=1).lane():
        pass


def test_without_redis_nobody_is_held_up() -> None:
    """Redis away, calls go on; the process's own threads bound them."""
    lane = RedisLanes(redis.Redis.from_url("redis://127.0.0.1:1/0"), "org", places=1)
    with lane.lane(), lane.lane():
        pass

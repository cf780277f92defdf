"""Processes that serve one organization share its session through Redis, and none of them depends on that."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from tests.conformance.organization import KEY, PICTURE, SECRET, World, document, in_time
from workers import shared_sessions
from workers.credentials import Credentials
from workers.failures import Failure, Throttled
from workers.shared_sessions import RedisSession
from workers.sources import Sources
from workers.sources.surroundings import Kept, Surroundings

DOWN = "redis://127.0.0.1:1/0"


def sources(url: str, *, key: str = KEY) -> Sources:
    """Open what one process has: connections and sessions of its own, and Redis."""
    client, credentials = redis.Redis.from_url(url, socket_timeout=5), Credentials([key])
    return Sources(
        credentials=Credentials([KEY]),
        api_version="65.0",
        around=lambda organization: Surroundings(
            session=RedisSession(
                client, credentials, organization["_id"], version=organization["credential_version"]
            )
        ),
    )


def outcome(source: Any, record_id: str) -> str:
    try:
        source.visit(record_id, deadline=in_time()).describe()
    except Failure as failure:
        return failure.code
    return "told"


def test_a_second_process_needs_no_login(world: World, redis_url: str) -> None:
    """What one process has logged in for, another uses."""
    record_id = world.add()
    for _ in range(3):
        held = sources(redis_url)
        assert outcome(held.of(document(world.url)), record_id) == "told"
        held.close()
    assert world.asked_to_log_in == 1


def test_sixty_four_threads_of_four_processes_renew_a_session_once(world: World, redis_url: str) -> None:
    """A session that expires under all of them costs one login."""
    record_id = world.add()
    held = [sources(redis_url) for _ in range(4)]
    opened = [one.of(document(world.url)) for one in held]
    assert {outcome(one, record_id) for one in opened} == {"told"}
    world.control("DELETE", "sessions")
    with ThreadPoolExecutor(64) as threads:
        told = set(threads.map(lambda number: outcome(opened[number % 4], record_id), range(64)))
    assert told == {"told"}
    assert world.asked_to_log_in == 2
    for one in held:
        one.close()


def test_a_wrong_secret_costs_all_processes_one_login(world: World, redis_url: str) -> None:
    """What one process was refused, the others do not try; new credentials begin with nothing."""
    record_id = world.add()
    for _ in range(3):
        held = sources(redis_url)
        with pytest.raises(Throttled) as caught:
            held.of(document(world.url, secret="wrong")).visit(record_id, deadline=in_time()).describe()
        assert (caught.value.code, caught.value.probe_after) == ("salesforce_credentials", 60)
        held.close()
    assert world.asked_to_log_in == 1
    held = sources(redis_url)
    assert outcome(held.of(document(world.url, version=2)), record_id) == "told"
    held.close()


def test_redis_holds_no_token_in_clear(world: World, redis_url: str) -> None:
    """Whoever reads Redis gets neither a token nor a secret, and keys live for a short while only."""
    held = sources(redis_url)
    assert outcome(held.of(document(world.url)), world.add()) == "told"
    held.close()
    tokens = list(world.server.api.sessions._open)
    with redis.Redis.from_url(redis_url) as client:
        keys = list(client.scan_iter("*"))
        kept = b"".join(client.dump(key) for key in keys)
        assert any(key.startswith(b"imports:session:") for key in keys)
        assert all(0 < client.ttl(key) <= 3600 for key in keys)
    for secret in (SECRET, *tokens):
        assert secret.encode() not in kept


def test_a_session_under_another_key_is_not_read(world: World, redis_url: str) -> None:
    """A process that lacks the key of a shared session logs in for itself and does not fail."""
    record_id = world.add()
    for key in (KEY, "A" * 43 + "="):
        held = sources(redis_url, key=key)
        assert outcome(held.of(document(world.url)), record_id) == "told"
        held.close()
    assert world.asked_to_log_in == 2


def test_without_redis_each_process_has_its_own_session(world: World) -> None:
    """Redis away delays and fails nothing: a process logs in for its threads."""
    record_id = world.add()
    held = sources(DOWN)
    with ThreadPoolExecutor(8) as threads:
        source = held.of(document(world.url))
        assert set(threads.map(lambda _: outcome(source, record_id), range(8))) == {"told"}
    assert world.asked_to_log_in == 1
    held.close()


def test_an_older_session_takes_no_newer_one_away(redis_url: str) -> None:
    """Word of a refused session that comes late leaves the session of now in place."""
    with redis.Redis.from_url(redis_url) as client:
        shared = RedisSession(client, Credentials([KEY]), "org", version=1)
        shared.write(Kept("old", "https://a.my.salesforce.com"))
        shared.write(Kept("new", "https://a.my.salesforce.com"))
        shared.forget("old")
        assert shared.read() == Kept("new", "https://a.my.salesforce.com")
        shared.forget("new")
        assert shared.read() is None


def _hold(url: str, taken: Any) -> None:
    client = redis.Redis.from_url(url)
    with RedisSession(client, Credentials([KEY]), "org", version=1).turn(1.0) as mine:
        taken.put(mine)
        time.sleep(60)


def test_a_turn_outlives_no_killed_holder(redis_url: str) -> None:
    """A process that is killed while it logs in holds up the others for as long as its turn lasts, no longer."""
    fresh = multiprocessing.get_context("spawn")
    taken = fresh.Queue()
    process = fresh.Process(target=_hold, args=(redis_url, taken))
    process.start()
    assert taken.get(timeout=20) is True
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    with redis.Redis.from_url(redis_url) as client:
        shared = RedisSession(client, Credentials([KEY]), "org", version=1)

        def free() -> bool:
            with shared.turn(1.0) as mine:
                return mine

        until(free)


def test_a_turn_that_ran_out_is_not_given_back_twice(redis_url: str) -> None:
    """Whoever was too slow does not end the turn of the next one."""
    with redis.Redis.from_url(redis_url) as client:
        slow, next_one = (RedisSession(client, Credentials([KEY]), "org", version=1) for _ in range(2))
        with slow.turn(0.05) as first:
            assert first
            time.sleep(0.1)
            late = next_one.turn(10.0)
            assert late.__enter__()
        with slow.turn(1.0) as third:
            assert not third
        late.__exit__(None, None, None)


def test_a_worker_that_stops_does_not_wait_for_anothers_login(world: World, redis_url: str) -> None:
    """While another process has the turn, an order to stop is heeded at once."""
    record_id = world.add()
    held = sources(redis_url)
    stopping = threading.Event()
    with redis.Redis.from_url(redis_url) as client:
        organization = document(world.url)
        turn = RedisSession(client, Credentials([KEY]), organization["_id"], version=1).turn(30)
        assert turn.__enter__()
        threading.Timer(0.2, stopping.set).start()
        with pytest.raises(Failure) as caught:
            held.of(organization).visit(record_id, deadline=in_time(20, stopping)).describe()
        turn.__exit__(None, None, None)
    assert caught.value.code == "interrupted"
    assert world.asked_to_log_in == 0
    held.close()


def test_a_login_of_another_process_is_waited_for(world: World, redis_url: str) -> None:
    """Whoever finds the turn taken uses the session that comes of it."""
    record_id = world.add()
    organization = document(world.url)
    world.fetch(record_id)  # a session that is good
    token = next(iter(world.server.api.sessions._open))
    held = sources(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        shared = RedisSession(client, Credentials([KEY]), organization["_id"], version=1)
        with shared.turn(30), ThreadPoolExecutor(1) as threads:
            waits = threads.submit(outcome, held.of(organization), record_id)
            time.sleep(0.2)
            assert not waits.done()
            shared.write(Kept(token, world.url))
            assert waits.result(timeout=10) == "told"
    assert world.asked_to_log_in == 1
    assert world.fetch(record_id)[1] == PICTURE
    held.close()


def test_all_processes_together_log_in_so_often_an_hour(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logins of every process and version of the credentials count together, of each organization by itself."""
    monkeypatch.setattr(shared_sessions, "LOGINS_AN_HOUR", 3)
    with redis.Redis.from_url(redis_url) as one, redis.Redis.from_url(redis_url) as other:
        sessions = [
            RedisSession(client, Credentials([KEY]), "org", version=version)
            for client in (one, other)
            for version in (1, 2)
        ]
        assert [session.may_log_in() for session in sessions] == [True, True, True, False]
        assert RedisSession(one, Credentials([KEY]), "another", version=1).may_log_in()
        counted = list(one.scan_iter("imports:logins:*"))
        assert all(3590 <= one.ttl(key) <= 3600 for key in counted)  # the hour of each ends by itself
        one.delete(*counted)
        assert sessions[3].may_log_in()


def test_without_redis_logins_are_not_counted() -> None:
    """Redis away, each process has its own bound alone."""
    with redis.Redis.from_url(DOWN) as client:
        assert RedisSession(client, Credentials([KEY]), "org", version=1).may_log_in()


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.05)

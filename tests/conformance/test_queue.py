"""The queue on a real Redis: what is asked for is done, and what goes astray on the way is put back."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
import redis

from common.queue import sturdy
from common.queue.broker import NAMESPACE, DeadLetters, WorkerKnown, consumer, producer, worker_client
from common.queue.depth import depths
from common.queue.jobs import JOBS, FetchAttachment, message
from workers.actors import register

WAIT_SECONDS = 20.0


class Line:
    """A producer and one worker process's worth of threads on one Redis."""

    def __init__(self, url: str) -> None:
        self.client = worker_client(url)
        self.door = producer(self.client)
        self.done: list[str] = []
        self.run: Callable[[str], None] = self.done.append
        self.broker = consumer(worker_client(url), [])
        register(self.broker, answering={job: lambda name: self.run(name) for job in JOBS})
        self.worker = dramatiq.Worker(self.broker, queues={"fetch"}, worker_threads=2, worker_timeout=50)

    def ask(self, count: int = 1) -> list[str]:
        ids = [str(uuid.uuid4()) for _ in range(count)]
        for import_id in ids:
            self.door.enqueue(message(FetchAttachment(import_id=import_id)))
        return ids

    def close(self) -> None:
        self.worker.stop(timeout=5_000)
        self.broker.close()

    def left(self) -> int:
        return int(self.client.hlen(f"{NAMESPACE}:fetch.msgs"))  # type: ignore[arg-type]

    def dead(self) -> int:
        return depths(self.client, now=time.time())[0].dead


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.05)


@pytest.fixture
def line(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(sturdy, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(sturdy, "AGAIN_SECONDS", 0.1)
    line = Line(redis_url)
    yield line
    line.close()


def test_what_is_asked_for_is_done_and_leaves_nothing(line: Line) -> None:
    """Messages are answered once each, and acknowledged ones are gone from Redis."""
    ids = line.ask(20)
    line.worker.start()
    until(lambda: len(line.done) == 20 and line.left() == 0)
    assert sorted(line.done) == sorted(ids)
    assert depths(line.client, now=time.time())[0].depth == 0


UNNUMBERED = dramatiq.Message(
    queue_name="fetch", actor_name="fetch_attachment", args=(), kwargs={}, options={}
)


@pytest.mark.parametrize("garbage", [b"\xff not json", b"[]", b"1", b'{"a":1}', UNNUMBERED.encode()])
def test_an_undecodable_message_strands_no_neighbour(
    line: Line, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Garbage in a batch is put aside, and the good messages of that batch are answered (F12) without a crash."""
    ids = line.ask(3)
    line.client.hset(f"{NAMESPACE}:fetch.msgs", "garbage", garbage)
    line.client.rpush(f"{NAMESPACE}:fetch", "garbage")
    ids += line.ask(4)
    line.worker.start()
    until(lambda: sorted(line.done) == sorted(ids) and line.dead() == 1 and line.left() == 0)
    assert not [one for one in caplog.records if one.levelname == "CRITICAL"], (
        "dramatiq's consumer died of it"
    )


@pytest.mark.parametrize(
    "alien",
    [
        {"actor_name": "nobody", "kwargs": {}},
        {"actor_name": "fetch_attachment", "kwargs": {"import_id": {"$ne": 1}}},
        {"actor_name": "fetch_attachment", "kwargs": {"import_id": "../x"}},
        {"actor_name": "fetch_attachment", "kwargs": {"more": 1}},
    ],
)
def test_an_alien_message_goes_to_the_dead_letters(line: Line, alien: dict[str, Any]) -> None:
    """A crafted message is kept where an operator finds it, and the worker goes on."""
    line.door.enqueue(dramatiq.Message(queue_name="fetch", args=(), options={}, **alien))
    ids = line.ask(1)
    line.worker.start()
    until(lambda: line.done == ids and line.dead() == 1 and line.left() == 0)


def test_a_lost_reply_to_a_fetch_strands_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that Redis handed out while the reply was lost come back without a restart (F10)."""
    ids, fetch, lost = line.ask(4), line.broker._dispatch("fetch"), threading.Event()

    def loses_the_first(*args: Any) -> Any:
        reply = fetch(*args)
        if reply and not lost.is_set():
            lost.set()
            raise redis.ConnectionError("the reply was lost")
        return reply

    monkeypatch.setattr(line.broker, "do_fetch", loses_the_first, raising=False)
    line.worker.start()
    until(lambda: sorted(line.done) == sorted(ids) and line.left() == 0)
    assert lost.is_set()


@pytest.mark.parametrize(
    "trouble",
    [
        redis.TimeoutError("frozen"),
        redis.ConnectionError("reset"),
        redis.ReadOnlyError("You can't write against a read only replica."),
        redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_a_failed_acknowledgement_is_tried_again(
    line: Line, monkeypatch: pytest.MonkeyPatch, trouble: redis.RedisError
) -> None:
    """Whatever Redis answers, of which dramatiq knows lost connections only, no message is left behind (F9)."""
    ack, failed = line.broker._dispatch("ack"), threading.Event()

    def fails_once(*args: Any) -> Any:
        if not failed.is_set():
            failed.set()
            raise trouble
        return ack(*args)

    monkeypatch.setattr(line.broker, "do_ack", fails_once, raising=False)
    line.ask(1)
    line.worker.start()
    until(lambda: failed.is_set() and line.left() == 0)
    assert len(line.done) == 1


def test_work_that_takes_long_is_not_taken_for_stranded(line: Line) -> None:
    """The comparison leaves alone what this process holds, running or fetched ahead."""
    released = threading.Event()
    line.run = lambda import_id: (released.wait(10), line.done.append(import_id))[1]
    line.ask(6)
    line.worker.start()
    time.sleep(1.5)
    assert line.left() == 6
    released.set()
    until(lambda: line.left() == 0)
    assert len(line.done) == 6


def test_a_worker_that_is_busy_through_and_through_is_heard_of(line: Line) -> None:
    """One that has fetched all it may asks for nothing, and what it has in hand is not handed to others all the same."""
    released = threading.Event()
    line.run = lambda import_id: (released.wait(60), line.done.append(import_id))[1]
    line.ask(50)
    line.worker.start()
    until(
        lambda: (
            line.client.scard(f"{NAMESPACE}:__acks__.{line.broker.broker_id}.fetch")
            == line.worker.queue_prefetch
        )
    )
    time.sleep(0.5)
    before = line.client.zscore(f"{NAMESPACE}:__heartbeats__", line.broker.broker_id)
    try:
        until(lambda: line.client.zscore(f"{NAMESPACE}:__heartbeats__", line.broker.broker_id) != before)
    finally:
        released.set()
    until(lambda: line.left() == 0)
    assert len(line.done) == 50


def test_an_idle_worker_waits_without_polling(line: Line) -> None:
    """Idle, a worker sends Redis about a command a second, and takes up what comes while it waits (hosted Redis
    is paid by the command; dramatiq alone polls each queue and its delay queue)."""
    line.worker.start()
    until(lambda: bool(_blocked(line.client)))
    before = _commands(line.client)
    time.sleep(2.5)
    idle = _commands(line.client) - before
    ids = line.ask(1)
    until(lambda: line.done == ids and line.left() == 0)
    assert idle <= 3 * 2.5 + 15, "what a fetch for the heartbeat and a comparison do inside is counted too"
    assert set(line.worker.consumers) == {"fetch"}, "nothing is ever put into a delay queue"


def test_waiting_for_a_message_changes_nothing(line: Line) -> None:
    """What is waited with moves the head of a queue to where it stands: order and number stay."""
    line.ask(3)
    key = f"{NAMESPACE}:fetch"
    before = line.client.lrange(key, 0, -1)
    consumer_ = line.broker.consume("fetch", prefetch=2, timeout=50)
    assert isinstance(consumer_, sturdy.SturdyConsumer)
    for _ in range(3):
        assert consumer_._is_worth_a_fetch()
    assert line.client.lrange(key, 0, -1) == before


def _blocked(client: redis.Redis) -> int:
    found: Any = client.info("clients")
    return int(found["blocked_clients"])


def _commands(client: redis.Redis) -> int:
    found: Any = client.info("commandstats")
    return sum(int(one["calls"]) for name, one in found.items() if "info" not in name)


def test_jobs_and_actors_match_one_to_one(redis_url: str) -> None:
    """A worker refuses to start where a job has no actor or an actor no job."""
    broker = consumer(worker_client(redis_url), [])
    dramatiq.actor(broker=broker, actor_name="stray", queue_name="fetch")(lambda: None)
    with pytest.raises(RuntimeError, match="one to one"):
        register(broker, answering={job: lambda _: None for job in JOBS})


def test_the_middleware_is_the_listed_one(redis_url: str) -> None:
    """None of dramatiq's defaults that lose messages is in the broker."""
    names = [type(one).__name__ for one in consumer(worker_client(redis_url), []).middleware]
    assert names == ["CurrentMessage", DeadLetters.__name__, WorkerKnown.__name__]
    assert producer(worker_client(redis_url)).middleware == []

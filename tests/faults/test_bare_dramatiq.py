"""The holes of a plain dramatiq pipeline, each shown on bare dramatiq and beside it on ours.

The numbers (F1 …) are those of docs/explain/dramatiq-alone.md, which also names the tests for the holes that
cannot be shown cheaply. Where one of these fails on bare dramatiq, upstream has closed the hole: our own code
for it can go.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.errors import BrokerConnectionError

from common.queue import sturdy
from common.queue.broker import NAMESPACE, consumer, producer, recover, recoverer, worker_client
from common.queue.jobs import JOBS, FetchAttachment, message
from tests.conformance.test_schedule import Life
from tests.faults import bare
from tests.stores import free_port, run_valkey
from tests.unit.workers.test_pipeline import ORIGINAL
from workers.actors import register
from workers.failures import Transient

WHILE = 2.0  # seconds in which a live process does not find what it stranded, at any number of looks
ROOT = Path(__file__).parents[2]


class Pair:
    """The same queue twice on one Redis: bare dramatiq's and ours. `done` counts what ran on either."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sturdy, "LOOK_SECONDS", 0.2)
        monkeypatch.setattr(dramatiq.worker, "CONSUMER_RESTART_DELAY_SECS", 0.1)
        monkeypatch.setattr(dramatiq.worker, "POST_PROCESS_MESSAGE_RETRY_DELAY_SECS", 0.1)
        self.client = worker_client(url)
        self.done: dict[str, list[str]] = {bare.QUEUE: [], "fetch": []}
        self.bare = bare.broker(url, heartbeat_ms=60_000)
        bare.actor(self.done[bare.QUEUE].append, broker=self.bare, actor_name="note", queue_name=bare.QUEUE)
        self.ours: Any = consumer(worker_client(url), [])
        register(self.ours, answering={job: lambda name: self.done["fetch"].append(name) for job in JOBS})
        self.brokers = {bare.QUEUE: self.bare, "fetch": self.ours}
        self.workers = [
            dramatiq.Worker(one, queues={queue}, worker_threads=2, worker_timeout=50)
            for queue, one in self.brokers.items()
        ]

    def ask(self, count: int) -> None:
        for _ in range(count):
            import_id = str(uuid.uuid4())
            self.ours.enqueue(message(FetchAttachment(import_id=import_id)))
            self.bare.enqueue(dramatiq.Message(bare.QUEUE, "note", (import_id,), {}, {}))

    def garbage(self) -> None:
        for queue in self.brokers:
            self.client.hset(f"{NAMESPACE}:{queue}.msgs", "garbage", b"\xff not json")
            self.client.rpush(f"{NAMESPACE}:{queue}", "garbage")

    def start(self) -> None:
        for worker in self.workers:
            worker.start()

    def stranded(self, queue: str) -> int:
        """Return how many messages a live process holds or waits for."""
        return int(self.client.hlen(f"{NAMESPACE}:{queue}.msgs"))

    def close(self) -> None:
        for worker in self.workers:
            worker.stop(timeout=2_000)
        for one in self.brokers.values():
            one.close()
        self.client.close()


@pytest.fixture
def pair(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    pair = Pair(redis_url, monkeypatch)
    yield pair
    pair.close()


def until(holds: Callable[[], Any], *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.05)


def once(broker: Any, command: str, error: Exception, *, after: bool) -> threading.Event:
    """Let one command of a broker that has an effect fail, before or after Redis carried it out."""
    carry_out, failed = broker._dispatch(command), threading.Event()

    def fails_once(*args: Any) -> Any:
        if failed.is_set():
            return carry_out(*args)
        reply = carry_out(*args) if after else [b""]
        if reply:
            failed.set()
            raise error
        return reply

    setattr(broker, f"do_{command}", fails_once)
    return failed


def test_f1_a_dead_workers_message_waits_for_luck(redis_url: str) -> None:
    """Bare: fifty commands of the living do not bring it back, at one chance in a thousand. Ours: the sweeper does."""
    random.seed(20260101)
    dead, living = (bare.broker(redis_url, chance=1000, heartbeat_ms=100) for _ in range(2))
    dead.enqueue(dramatiq.Message(bare.QUEUE, "note", (), {}, {}))
    assert len(dead.do_fetch(bare.QUEUE, 1)) == 1
    time.sleep(0.3)
    assert [living.do_fetch(bare.QUEUE, 1) for _ in range(50)] == [[]] * 50
    ours = recoverer(worker_client(redis_url))
    ours.heartbeat_timeout = 100
    ours.enqueue(message(FetchAttachment(import_id=str(uuid.uuid4()))))
    killed: Any = consumer(worker_client(redis_url), [])
    assert len(killed.do_fetch("fetch", 1)) == 1
    time.sleep(0.3)
    recover(ours)
    assert len(ours.do_fetch("fetch", 1)) == 1
    for one in (dead, living, ours, killed):
        one.close()


HUNG_SECONDS = 15.0  # no worker of this takes so long to come up and die


@contextmanager
def restarted(url: str) -> Iterator[None]:
    """Run a bare worker under a supervisor that starts it again whenever it dies."""
    ended = threading.Event()
    env = {**os.environ, "BARE_REDIS_URL": url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "dramatiq", "tests.faults.bare:start", "--processes", "1", "--threads", "1"]  # fmt: skip

    def supervise() -> None:
        while not ended.is_set():
            began = time.monotonic()
            with subprocess.Popen(
                command, env=env, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True
            ) as process:
                # A master whose worker dies while it reports for duty waits for that worker for ever.
                while (
                    process.poll() is None
                    and not ended.wait(0.05)
                    and time.monotonic() - began < HUNG_SECONDS
                ):
                    pass
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    thread = threading.Thread(target=supervise)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_f6_a_job_that_kills_its_worker_is_delivered_without_end(redis_url: str) -> None:
    """Bare: past its three retries and the fourth try, and it still waits. Ours: five workers, then `failed`."""
    with redis.Redis.from_url(redis_url) as client:
        asking = bare.broker(redis_url)
        asking.enqueue(dramatiq.Message(bare.QUEUE, "poison", (), {}, {}))
        with restarted(redis_url):
            until(lambda: int(client.get("deliveries") or 0) >= 6, seconds=90)
        assert client.hlen(f"{NAMESPACE}:{bare.QUEUE}.msgs") == 1
        asking.close()


def test_f8_a_retry_is_lost_while_redis_is_away(tmp_path: Path, mongodb_url: str) -> None:
    """Bare: one run of four, and nothing is left of it. Ours: the wait is in the document, and Redis may forget all."""
    port, runs, enqueued = free_port(), [0], threading.Event()
    with run_valkey(tmp_path / "redis", port=port) as server:
        made = bare.broker(f"{server.url}/0", heartbeat_ms=60_000)

        def fails_as_redis_dies() -> None:
            runs[0] += 1
            os.kill(server.pid, signal.SIGKILL)
            enqueued.set()
            raise RuntimeError("a clean failure")

        bare.actor(fails_as_redis_dies, broker=made, queue_name=bare.QUEUE, **bare.RETRIES).send()
        worker = dramatiq.Worker(made, worker_threads=1, worker_timeout=50)
        worker.start()
        assert enqueued.wait(10)
        time.sleep(0.5)
    with run_valkey(tmp_path / "redis", port=port) as server, redis.Redis(port=port) as client:
        until(lambda: not client.exists(f"{NAMESPACE}:{bare.QUEUE}.msgs"))
        time.sleep(WHILE)
        assert not client.exists(f"{NAMESPACE}:{bare.QUEUE}.DQ.msgs", f"{NAMESPACE}:{bare.QUEUE}.XQ")
        assert runs == [1]
        worker.stop(timeout=2_000)
        made.close()
        life = Life(mongodb_url, f"{server.url}/0", 1)
        failures = [Transient("answer_truncated", "Cut.")]

        def fetch() -> Any:
            if failures:
                life.redis.flushall()
                raise failures.pop()
            return ORIGINAL

        life.fetch = fetch
        assert life.ends()[0]["status"] == "succeeded"
        assert life.tries["fetch"] == 2
        life.close()


def test_f9_an_acknowledgement_that_times_out_strands_its_message(pair: Pair) -> None:
    """Bare: it ran, and a live process holds its message for as long as it lives. Ours: acknowledged again."""
    failed = [once(one, "ack", redis.TimeoutError("frozen"), after=False) for one in pair.brokers.values()]
    pair.ask(1)
    pair.start()
    until(lambda: all(one.is_set() for one in failed) and pair.stranded("fetch") == 0)
    time.sleep(WHILE)
    assert {queue: len(done) for queue, done in pair.done.items()} == {bare.QUEUE: 1, "fetch": 1}
    assert (pair.stranded(bare.QUEUE), pair.stranded("fetch")) == (1, 0)


def test_f10_a_lost_reply_to_a_fetch_strands_its_messages(pair: Pair) -> None:
    """Bare: four messages handed out into the void, held by a live process. Ours: put back, and done."""
    failed = [once(one, "fetch", redis.ConnectionError("lost"), after=True) for one in pair.brokers.values()]
    pair.ask(4)
    pair.start()
    until(lambda: all(one.is_set() for one in failed) and len(pair.done["fetch"]) == 4)
    until(lambda: pair.stranded("fetch") == 0)
    time.sleep(WHILE)
    assert len(pair.done[bare.QUEUE]) < 4
    assert pair.stranded(bare.QUEUE) == 4 - len(pair.done[bare.QUEUE])


def test_f11_a_lost_reply_to_an_enqueue_runs_a_job_twice(
    pair: Pair, mongodb_url: str, redis_url: str
) -> None:
    """Bare: pushed twice, run twice. Ours: the second message finds nothing to do."""
    pair.ask(1)
    name: Any = pair.client.lindex(f"{NAMESPACE}:{bare.QUEUE}", 0)
    pair.client.rpush(f"{NAMESPACE}:{bare.QUEUE}", name)  # what the client's own second try leaves
    pair.start()
    until(lambda: len(pair.done[bare.QUEUE]) == 2)
    until(lambda: pair.stranded("fetch") == 0)
    for worker in pair.workers:
        worker.stop(timeout=2_000)  # or one that waits at Redis takes what the worker below is to get
    life = Life(mongodb_url, redis_url, 1)
    for _ in range(2):
        producer(life.redis).enqueue(message(FetchAttachment(import_id=life.id)))
    assert life.ends()[0]["status"] == "succeeded"
    assert (life.tries["fetch"], life.db.images.count_documents({})) == (1, 1)
    life.close()


def test_f12_an_undecodable_message_strands_its_neighbours(pair: Pair) -> None:
    """Bare: good messages of the same batch are held by a live process. Ours: done, and the bad one is put aside."""
    pair.ask(2)
    pair.garbage()
    pair.ask(2)
    pair.start()
    until(lambda: len(pair.done["fetch"]) == 4 and pair.stranded("fetch") == 0)
    time.sleep(WHILE)
    assert pair.stranded(bare.QUEUE) >= 2
    assert len(pair.done[bare.QUEUE]) < 4


def test_f16_a_retry_is_no_delayed_message(mongodb_url: str, redis_url: str) -> None:
    """Bare: a retry is a delayed message, held in some worker's memory behind others. Ours: none is ever sent."""
    made = bare.broker(redis_url)

    def fails() -> None:
        raise RuntimeError("a clean failure")

    long = {**bare.RETRIES, "min_backoff": 60_000, "max_backoff": 60_000}
    bare.actor(fails, broker=made, queue_name=bare.QUEUE, **long).send()
    worker = dramatiq.Worker(made, worker_threads=1, worker_timeout=50)
    worker.start()
    with redis.Redis.from_url(redis_url) as client:
        until(lambda: client.hlen(f"{NAMESPACE}:{bare.QUEUE}.DQ.msgs") == 1)
        worker.stop(timeout=2_000)
        made.close()
        life = Life(mongodb_url, redis_url, 1)
        life.fetch = lambda: (_ for _ in ()).throw(Transient("answer_truncated", "Cut."))
        document, _ = life.ends()
        assert document["error"]["code"] == "answer_truncated"
        assert not client.exists(f"{NAMESPACE}:fetch.DQ", f"{NAMESPACE}:fetch.DQ.msgs")
        life.close()


def test_f20_what_cannot_be_enqueued_is_gone(mongodb_url: str, redis_url: str) -> None:
    """Bare: the caller has an exception, and nobody else knows. Ours: the document is there before, and is its outbox."""
    made = bare.broker(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises((redis.ConnectionError, BrokerConnectionError)):
        made.enqueue(dramatiq.Message(bare.QUEUE, "note", (), {}, {}))
    made.close()
    life = Life(mongodb_url, redis_url, 1)  # written, and never rung for
    assert life.redis.dbsize() == 0
    assert life.ends()[0]["status"] == "succeeded"
    life.close()


def test_f22_workers_outlive_their_killed_master(redis_url: str) -> None:
    """Bare: the worker goes on without a supervisor, unknown to whoever starts another. Ours: it notices and ends."""
    env = {**os.environ, "BARE_REDIS_URL": redis_url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "dramatiq", "tests.faults.bare:start", "--processes", "1", "--threads", "1"]  # fmt: skip
    master = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True)
    try:
        with redis.Redis.from_url(redis_url) as client:
            until(lambda: client.exists(f"{NAMESPACE}:__heartbeats__"))
            master.kill()
            master.wait(10)
            time.sleep(1.0)
            before: Any = client.zrange(f"{NAMESPACE}:__heartbeats__", 0, -1, withscores=True)
            time.sleep(WHILE)
            after: Any = client.zrange(f"{NAMESPACE}:__heartbeats__", 0, -1, withscores=True)
        assert dict(after)[max(before, key=lambda one: one[1])[0]] > max(score for _, score in before)
    finally:
        os.killpg(master.pid, signal.SIGKILL)


def test_f_numbers_are_all_on_the_page() -> None:
    """docs/explain/dramatiq-alone.md names each hole, and each test that it names is there."""
    page = (ROOT / "docs" / "explain" / "dramatiq-alone.md").read_text(encoding="utf-8")
    assert all(f"| F{number} |" in page for number in range(1, 23))
    here = json.dumps(sorted(name for name in globals() if name.startswith("test_f")))
    for number in (1, 6, 8, 9, 10, 11, 12, 16, 20, 22):
        assert f"test_f{number}_" in here

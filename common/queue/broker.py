"""Build the broker: every middleware listed with its reason, every Redis client configured explicitly.

dramatiq's own defaults are not used anywhere, because several of them lose or strand messages:
`RedisBroker(url=…)` gives a client without retries, and the default `Retries` middleware loses a message
whose retry cannot be enqueued. Here the document is the truth and the sweeper asks again, so the broker
carries no retries, no age limit, no results and no callbacks at all.
"""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
from dramatiq import Broker, MessageProxy, Middleware, Worker
from dramatiq.middleware import CurrentMessage
from dramatiq.worker import ConsumerThread
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.queue.jobs import NAMESPACE, QUEUES
from common.queue.sturdy import SturdyBroker

DOOR_SECONDS = 0.5  # for one call, and for connecting: a POST never waits for Redis
WORKER_SECONDS = 3  # for one call
HEARTBEAT_MS = 15_000  # a process silent for so long has its unfinished messages handed to others
ALL_THE_TIME = 1_000_000  # maintenance chance in a million: recovery is certain and not a matter of luck


class DeadLetters(Middleware):
    """Put a message whose actor raised aside (`Q.XQ`) in place of forgetting it.

    Actors raise only for messages that are none of ours: whatever happens to an import is in its document.
    """

    def after_process_message(
        self,
        broker: Broker,  # noqa: ARG002 - the library's signature
        message: MessageProxy,
        *,
        result: Any = None,  # noqa: ARG002 - the library's signature
        exception: BaseException | None = None,
    ) -> None:
        """Mark the message as failed, which makes dramatiq reject it."""
        if exception is not None:
            message.fail()


class WorkerKnown(Middleware):
    """Let the broker know its worker: its threads, and that it has to end.

    The end of a stage takes the next message along, as long as a thread is there for it. Once the worker has to end
    Redis is asked for nothing more: dramatiq would fetch on until the last job has ended, and put it all back.
    """

    def after_consumer_thread_boot(self, broker: Broker, thread: ConsumerThread) -> None:
        """Note who brings the messages of a queue."""
        if isinstance(broker, SturdyBroker):
            broker.consumer_threads[thread.queue_name] = thread

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Note how many threads work."""
        if isinstance(broker, SturdyBroker):
            broker.threads = worker.worker_threads

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002
        """Tell the consumers."""
        if isinstance(broker, SturdyBroker):
            broker.stopping.set()


def door_client(url: str) -> redis.Redis:
    """Open a client for the door: it gives up within a second, since a POST never waits for Redis."""
    return redis.Redis.from_url(
        url,
        socket_timeout=DOOR_SECONDS,
        socket_connect_timeout=DOOR_SECONDS,
        retry=_once_more_if_lost(),
        health_check_interval=15,
    )


def async_door_client(url: str) -> redis.asyncio.Redis:
    """Open the client by which the door dispatches on its loop, as impatient as `door_client`."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=DOOR_SECONDS,
        socket_connect_timeout=DOOR_SECONDS,
        retry=AsyncRetry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        health_check_interval=15,
    )


def worker_client(url: str) -> redis.Redis:
    """Open a client for a worker: patient with a slow Redis, and no call to a silent one outlasts a stop.

    What goes wrong all the same, the consumer tries again by itself.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=WORKER_SECONDS,
        socket_connect_timeout=2,
        retry=_once_more_if_lost(),
        health_check_interval=15,
    )


def _once_more_if_lost() -> Retry:
    """Open a lost connection again at once, and never ask a silent Redis twice.

    The library would, when it connects and when it asks, so that each call takes four times its timeout.
    """
    return Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))


def producer(client: redis.Redis) -> SturdyBroker:
    """Build the broker of a process that only asks for work (the door, the operator).

    No middleware: nothing in it acts when a message is enqueued, and none needs a thread here.
    """
    return _broker(client, [], chance=0)


def recoverer(client: redis.Redis) -> SturdyBroker:
    """Build the sweeper's broker: it asks for work, and hands dead processes' messages to others."""
    return _broker(client, [], chance=ALL_THE_TIME)


def recover(broker: SturdyBroker) -> None:
    """Hand the unfinished messages of silent processes to others, on every queue. Raises RedisError.

    dramatiq does this only now and then and only on a queue that somebody uses; a size asked for with a
    maintenance chance of one does it for certain.
    """
    for queue in QUEUES:
        broker.do_qsize(queue)


def consumer(client: redis.Redis, middleware: list[Middleware]) -> SturdyBroker:
    """Build the broker of a worker process.

    `CurrentMessage` puts the message's id within reach of the log, `DeadLetters` keeps alien messages
    where an operator finds them, `WorkerKnown` lets it take messages and ends that at a stop; `middleware` is what
    the worker adds (it learns of its start and its shutdown by it). Left out on purpose: Retries, AgeLimit, TimeLimit
    (an exception thrown into C code arrives when it is too late; renders are bounded by killing a child,
    fetches by a deadline), Callbacks, Pipelines, Results, Prometheus.
    """
    return _broker(client, [CurrentMessage(), DeadLetters(), WorkerKnown(), *middleware], chance=ALL_THE_TIME)


def _broker(client: redis.Redis, middleware: list[Middleware], *, chance: int) -> SturdyBroker:
    broker = SturdyBroker(
        client=client,
        middleware=middleware,
        namespace=NAMESPACE,
        heartbeat_timeout=HEARTBEAT_MS,
        maintenance_chance=chance,
    )
    for queue in QUEUES:
        broker.declare_queue(queue)
    return broker

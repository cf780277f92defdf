"""Close the holes of dramatiq's Redis consumer that strand messages in a live process.

A message that dramatiq fetched stands in a set of its process until it is acknowledged. It stays there for
as long as the process lives when the reply to the fetch was lost, when a neighbour in the same batch cannot
be decoded, or when the acknowledgement timed out or was refused by a Redis that is read-only or full (none of
which is a ConnectionError, the only thing dramatiq tries again). No import is lost by it, since the sweeper
asks again, but the queue's figures would count it for ever.

So the consumer keeps a list of what it holds and compares: what stands in the set and is not held at two
looks in a row is put back, or aside if it cannot be read. And it waits for Redis by itself, whatever Redis
answers: dramatiq would make a new consumer each second, which strands what the old one had fetched ahead, and
write a traceback each time. Once the worker has to end, nobody waits for Redis any more: what a silent one
still counts as in hand here is handed to others when this process has not been heard of for a while.

An idle consumer does not poll: it blocks until its queue is not empty, by moving the head of the queue to where it
stands. Nobody delays messages by dramatiq here, so its delay queues have no consumers.
Upstream: Bogdanp/dramatiq#894 (the timeout); the comparison can go when dramatiq makes one of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import redis
import structlog
from dramatiq import Message, MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import current_millis
from dramatiq.errors import ConnectionClosed, DecodeError
from dramatiq.middleware import CurrentMessage
from dramatiq.worker import ConsumerThread

from common.queue.foreign import is_foreign_type, mend

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
AGAIN_SECONDS = 1.0  # a Redis that cannot serve is asked again after so long
BLOCK_SECONDS = 1.0  # how long an idle consumer blocks; a process that ends waits for it
HEARTBEAT_SECONDS = 4.0  # an idle consumer fetches so often, which is how dramatiq knows that it lives
POLL_MS = 100  # at most between two looks of a consumer that has fetched all it may


class SturdyBroker(RedisBroker):
    """dramatiq's Redis broker with consumers that strand nothing.

    `held` names the messages in hand here, `threads` says how many work on them, `consumer_threads` who brings
    them, by queue. `stopping` is set when the process has to end.
    """

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.held: set[str] = set()
        self.threads = 0
        self.consumer_threads: dict[str, ConsumerThread] = {}
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._is_away = False
        self._failed_at = 0.0  # monotonic

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue without the delay queue that dramatiq would have consumed beside it."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def away(self, error: Exception) -> None:
        """Say once that Redis cannot serve, whichever thread finds out first."""
        with self.lock:
            news, self._is_away = not self._is_away, True
            self._failed_at = time.monotonic()
        if news:
            log.warning("queue away", reason=type(error).__name__)

    def back(self, *, asked_at: float) -> None:
        """Say once that Redis serves again; an answer to what was asked before the last failure shows nothing."""
        with self.lock:
            if asked_at < self._failed_at:
                return
            news, self._is_away = self._is_away, False
        if news:
            log.warning("queue back")

    def current(self) -> dict[str, Any] | None:
        """Return the message that this thread works on, as `MessageInHand` has it."""
        message = CurrentMessage.get_current_message()
        if message is None:
            return None
        queue = message.queue_name
        return {
            "id": message.options["redis_message_id"],
            "queue": f"{self.namespace}:{queue}",
            "acks": f"{self.namespace}:__acks__.{self.broker_id}.{queue}",
            # Not where one waits for this thread already: another process may be idle.
            "take": len(self.held) <= self.threads and not self.stopping.is_set(),
        }

    def acknowledged(self, taken: bytes | None) -> None:
        """Note that it is acknowledged, so that dramatiq has nothing more to ask, and hand on the one taken."""
        message = CurrentMessage.get_current_message()
        if message is None:
            return
        with self.lock:
            self.held.discard(message.options["redis_message_id"])
        if taken is not None:
            self._hand_on(message.queue_name, taken)

    def _hand_on(self, queue_name: str, data: bytes) -> None:
        """Do with a message what its consumer's thread does; the comparison puts one aside that cannot be read."""
        thread = self.consumer_threads[queue_name]
        try:
            message = Message.decode(data)
            redis_message_id = message.options["redis_message_id"]
        except (DecodeError, TypeError, AttributeError, KeyError):
            log.warning("undecodable message", queue=queue_name)
            return
        if isinstance(thread.consumer, SturdyConsumer):
            thread.consumer.queued_message_ids.add(message.message_id)
        with self.lock:
            self.held.add(redis_message_id)
        thread.handle_message(MessageProxy(message))

    @property
    def is_hopeless(self) -> bool:
        """Whether to ask Redis for something would only hold up the end of the process."""
        return self._is_away and self.stopping.is_set()

    @property
    def consumer_class(self) -> type[_RedisConsumer]:
        """Return the consumer that dramatiq makes for each queue."""
        return SturdyConsumer


class SturdyConsumer(_RedisConsumer):
    """One queue's consumer. Everything but `ack` and `nack` runs in one thread."""

    broker: SturdyBroker

    def __init__(self, broker: SturdyBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, min(timeout, POLL_MS))
        self._fetched_at = float("-inf")
        self._suspects: set[str] = set()
        self._looked_at = time.monotonic()

    def __next__(self) -> MessageProxy | None:
        """Return the next message, or None after a pause; skip what cannot be read, wait for Redis."""
        message: MessageProxy | None = None
        if self.broker.stopping.is_set() and not self.message_cache:
            time.sleep(self.timeout / 1000)
            return None
        asked_at = time.monotonic()
        asks = not self.message_cache and self.outstanding_message_count < self.prefetch
        try:
            if time.monotonic() - self._looked_at > LOOK_SECONDS:
                self._looked_at = time.monotonic()
                self._compare()
            if asks and not self._is_worth_a_fetch():
                self.broker.back(asked_at=asked_at)
                return None
            message = super().__next__()
            if message is not None:
                with self.broker.lock:
                    self.broker.held.add(message.options["redis_message_id"])
        except (DecodeError, TypeError, KeyError):
            # No JSON, JSON of another shape, or a message that no broker has numbered.
            if message is not None:
                self.queued_message_ids.discard(message.message_id)
            log.warning("undecodable message", queue=self.queue_name)  # the comparison puts it aside
            return None
        except (ConnectionClosed, redis.RedisError) as error:
            self._wait_out(error)
            return None
        if asks:
            self.broker.back(asked_at=asked_at)
        return message

    def ack(self, message: MessageProxy) -> None:
        """Acknowledge what the end of its stage has not, however long it takes: else the message were stranded.

        Where the process has to end it is given up, for what is stranded then is handed to others.
        """
        with self.broker.lock:
            is_acknowledged = message.options["redis_message_id"] not in self.broker.held
        if is_acknowledged:
            self.queued_message_ids.discard(message.message_id)
        else:
            self._insist(super().ack, message)

    def nack(self, message: MessageProxy) -> None:
        """Put aside; as for `ack`."""
        self._insist(super().nack, message)

    def _is_worth_a_fetch(self) -> bool:
        """Block until a message waits or a moment is over; tell whether to fetch, for it or for the heartbeat.

        The head of the queue is moved to the head of the queue, so nothing changes and each process that waits wakes.
        """
        name = f"{self.broker.namespace}:{self.queue_name}"
        waits: Any = self.broker.client.blmove(name, name, BLOCK_SECONDS, "LEFT", "LEFT")  # type: ignore[arg-type]
        if self.broker.stopping.is_set():
            return False
        if waits is None and time.monotonic() - self._fetched_at < HEARTBEAT_SECONDS:
            return False
        self._fetched_at = time.monotonic()
        return True

    def _insist(self, settle: Callable[[MessageProxy], None], message: MessageProxy) -> None:
        while not self.broker.is_hopeless:
            asked_at = time.monotonic()
            try:
                settle(message)
            except (ConnectionClosed, redis.RedisError) as error:
                self._wait_out(error)
            else:
                self.broker.back(asked_at=asked_at)
                break
        self._let_go(message)

    def requeue(self, messages: Any) -> None:
        """Put messages back that were fetched and not begun; where Redis cannot serve, others do so later."""
        messages = list(messages)
        if not self.broker.is_hopeless:
            try:
                super().requeue(messages)
            except redis.RedisError as error:
                self.broker.away(error)
        for message in messages:
            self._let_go(message)

    def _let_go(self, message: MessageProxy) -> None:
        with self.broker.lock:
            self.broker.held.discard(message.options["redis_message_id"])

    def _wait_out(self, error: Exception) -> None:
        """Wait before Redis is asked again; a key of another type that stands in the way is removed instead."""
        if is_foreign_type(error):
            try:
                if names := mend(self.broker.client):
                    log.warning("keys of another type removed", keys=names)
                    return
            except redis.RedisError as failed:
                error = failed
            else:  # another process was sooner
                self.broker.stopping.wait(AGAIN_SECONDS)
                return
        self.broker.away(error)
        self.broker.stopping.wait(AGAIN_SECONDS)

    def _compare(self) -> None:
        """Be heard of, and put back what this process fetched and does not hold, once it was so at two looks.

        One that has fetched all it may asks for nothing more, and stages end without dramatiq: nothing else would say
        that it lives, and what it works on would be handed to others.
        """
        broker = self.broker
        pipe = broker.client.pipeline(transaction=False)
        pipe.zadd(f"{broker.namespace}:__heartbeats__", {broker.broker_id: current_millis()})
        pipe.smembers(f"{broker.namespace}:__acks__.{broker.broker_id}.{self.queue_name}")
        fetched = pipe.execute()[1]
        in_cache = {_id_in(data) for data in self.message_cache}
        with broker.lock:
            astray = {name.decode() for name in fetched} - broker.held - in_cache
        for redis_message_id in astray & self._suspects:
            raw: Any = broker.client.hget(f"{broker.namespace}:{self.queue_name}.msgs", redis_message_id)
            if raw is not None and _id_in(raw) is None:
                broker.do_nack(self.queue_name, redis_message_id)
            else:
                broker.do_requeue(self.queue_name, redis_message_id)
            log.warning("stranded message put back", queue=self.queue_name, readable=_id_in(raw) is not None)
        self._suspects = astray


def _id_in(data: bytes | None) -> str | None:
    """Return the id under which Redis knows a message, or None where it cannot be read."""
    if data is None:
        return None
    try:
        name: str | None = Message.decode(data).options.get("redis_message_id")
    except (DecodeError, TypeError, AttributeError, KeyError):
        return None
    return name

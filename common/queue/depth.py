"""Tell how deep the queues are, by a plain client that disturbs nothing.

dramatiq's own `do_qsize` would write a heartbeat for the caller and count only the caller's messages. Its
keys are read instead: `Q` a list of waiting ids, `Q.msgs` a hash of all that are waiting or in flight,
`Q.DQ.msgs` the delayed ones, `Q.XQ` the dead. Imports that wait in their organization's room wait too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import redis

from common.queue.jobs import BELLS, NAMESPACE, QUEUES


@dataclass(frozen=True, slots=True)
class Depth:
    """One queue. `delayed` counts the imports that wait for their next attempt."""

    queue: str
    waiting: int
    in_flight: int
    delayed: int
    dead: int

    @property
    def depth(self) -> int:
        """Return all that is still to be done: waiting, in flight, delayed."""
        return self.waiting + self.in_flight + self.delayed


def depths(client: redis.Redis, *, now: float) -> list[Depth]:
    """Read every queue, each in one transaction, or in-flight could come out negative. Raises RedisError.

    `now` is the store's time (epoch seconds), by which others have written until when imports wait.
    """
    return [depth_of(client, queue, now=now) for queue in QUEUES]


def head_sent_at(client: redis.Redis, queue: str) -> float | None:
    """Return when the message at the head of a queue was sent (epoch seconds), or None for an empty queue.

    A bell that was rung before that is not waiting there any more. Raises RedisError.
    """
    head: Any = client.lindex(f"{NAMESPACE}:{queue}", 0)
    if head is None:
        return None
    raw: Any = client.hget(f"{NAMESPACE}:{queue}.msgs", head)
    try:
        sent = json.loads(raw)["message_timestamp"] / 1000
    except (TypeError, ValueError, KeyError):
        return 0.0  # taken since, or not one of ours: assume that it has waited for long
    return float(sent)


def depth_of(client: redis.Redis, queue: str, *, now: float) -> Depth:
    """Read one queue, as `depths` does all. Raises RedisError."""
    key = f"{NAMESPACE}:{queue}"
    bells = [bell for bell, job in BELLS.items() if job.queue == queue]
    rooms: list[str] = []
    for bell in bells:
        members: Any = client.smembers(f"imports:rooms:{bell}")
        rooms += [f"imports:room:{bell}:{organization.decode()}" for organization in members]
    pipe = client.pipeline(transaction=True)
    pipe.llen(key)
    pipe.hlen(f"{key}.msgs")
    pipe.hlen(f"{key}.DQ.msgs")
    pipe.zcard(f"{key}.XQ")
    for bell in bells:
        pipe.zcount(f"imports:later:{bell}", f"({int(now * 1000)}", "+inf")  # the sweeper forgets the others
    for room in rooms:
        pipe.zcard(room)
    listed, kept, delayed, dead, *counted = pipe.execute()
    later, waiting = counted[: len(bells)], counted[len(bells) :]
    return Depth(queue, listed + sum(waiting), max(0, kept - listed), delayed + sum(later), dead)

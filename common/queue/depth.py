"""Tell how deep the queues are, by a plain client that disturbs nothing.

dramatiq's own `do_qsize` would write a heartbeat for the caller and count only the caller's messages. Its
keys are read instead: `Q` a list of waiting ids, `Q.msgs` a hash of all that are waiting or in flight,
`Q.DQ.msgs` the delayed ones, `Q.XQ` the dead. Documents in their organization's backlog wait too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from common.queue.jobs import NAMESPACE, QUEUES, STAGES


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


def depth_of(client: redis.Redis, queue: str, *, now: float) -> Depth:
    """Read one queue, as `depths` does all. Raises RedisError."""
    key = f"{NAMESPACE}:{queue}"
    stages = [stage for stage, job in STAGES.items() if job.queue == queue]
    backlogs: list[bytes] = []
    for stage in stages:
        members: Any = client.zrange(f"imports:backlogs:{stage}", 0, -1)
        backlogs += [f"imports:backlog:{stage}:".encode() + organization for organization in members]
    pipe = client.pipeline(transaction=True)
    pipe.llen(key)
    pipe.hlen(f"{key}.msgs")
    pipe.hlen(f"{key}.DQ.msgs")
    pipe.zcard(f"{key}.XQ")
    for stage in stages:
        pipe.zcount(
            f"imports:delayed:{stage}", f"({int(now * 1000)}", "+inf"
        )  # the sweeper forgets the others
    for backlog in backlogs:
        pipe.zcard(backlog)
    listed, kept, delayed, dead, *counted = pipe.execute()
    later, waiting = counted[: len(stages)], counted[len(stages) :]
    return Depth(queue, listed + sum(waiting), max(0, kept - listed), delayed + sum(later), dead)

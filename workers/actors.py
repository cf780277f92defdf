"""Answer messages: one thin actor per job, bound to the broker that is handed in.

Nothing is decorated at import time, for dramatiq would silently bind such an actor to a default broker.

dramatiq acknowledges a message when its actor returns. The messages of a worker that died go to others when its
heartbeat has been silent for a minute; nobody waits for that, since the sweeper sends another long before.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import fields

import dramatiq

from common.queue.jobs import JOBS, Job


class AlienMessageError(Exception):
    """A message that none of ours sent; it goes to the dead letters (`Q.XQ`), where an operator finds it."""


def register(broker: dramatiq.Broker, *, answering: Mapping[type[Job], Callable[..., None]]) -> None:
    """Give every job its actor. What answers a job is handed its id, and the organization's id where the job names one
    and its message does too; it does the work, and does not raise.

    Raises RuntimeError where jobs and actors do not match one to one: a job without an actor would wait
    for ever, and an actor without a job would never be asked.
    """
    for job, answer in answering.items():
        bind = dramatiq.actor(broker=broker, actor_name=job.actor, queue_name=job.queue)
        bind(_actor(job, answer))
    asked = sorted((job.actor, job.queue) for job in JOBS)
    answered = sorted((name, actor.queue_name) for name, actor in broker.actors.items())
    if asked != answered:
        raise RuntimeError(f"jobs {asked} and actors {answered} do not match one to one")


def _actor(job: type[Job], answer: Callable[..., None]) -> Callable[..., None]:
    name, *hints = (field.name for field in fields(job))

    def look_at(**sent: object) -> None:
        # A newer release beside this one may say more in a message; what is owed stands in the document.
        if not _is_id(sent.get(name)):
            raise AlienMessageError(f"a message for {job.actor} does not hold its {name}")
        answer(str(sent[name]), *(sent[hint] for hint in hints if _is_id(sent.get(hint))))

    return look_at


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False

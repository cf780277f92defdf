"""Answer doorbells: one thin actor per job, bound to the broker that is handed in.

Nothing is decorated at import time, for dramatiq would silently bind such an actor to a default broker.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import dramatiq

from common.queue.jobs import JOBS


class AlienMessageError(Exception):
    """A message that none of ours sent; it goes to the dead letters (`Q.XQ`), where an operator finds it."""


def register(broker: dramatiq.Broker, *, run: Callable[[str, str], None]) -> None:
    """Give every job its actor. `run(queue, import_id)` does the work and does not raise.

    Raises RuntimeError where jobs and actors do not match one to one: a job without an actor would wait
    for ever, and an actor without a job would never be asked.
    """
    for job in JOBS:
        bind = dramatiq.actor(broker=broker, actor_name=job.actor, queue_name=job.queue)
        bind(_actor(job.queue, run))
    asked = sorted((job.actor, job.queue) for job in JOBS)
    answering = sorted((name, actor.queue_name) for name, actor in broker.actors.items())
    if asked != answering:
        raise RuntimeError(f"jobs {asked} and actors {answering} do not match one to one")


def _actor(queue: str, run: Callable[[str, str], None]) -> Callable[..., None]:
    def look_at(import_id: object = None, **_newer: object) -> None:
        # A newer release beside this one may say more in a message; what is owed stands in the document.
        if not _is_id(import_id):
            raise AlienMessageError(f"a message on {queue} does not name an import")
        run(queue, str(import_id))

    return look_at


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False

"""`imports queues`: how much is to be done, and for how long the oldest of it has waited."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import typer

from workers.operate.opening import Hands
from workers.operate.printing import Json, answer, lasting, table


def register(app: typer.Typer) -> None:
    app.command("queues")(queues)


def queues(ctx: typer.Context, *, json: Json = False) -> None:
    """Show how deep each queue is: waiting, in flight, delayed, dead, and the age of its oldest import.

    Depth is all that is still to be done: waiting + in flight + delayed. Watch the age more than the depth:
    a deep queue that moves is healthy, a growing age is not.
    """
    from common.documents.imports import STAGES
    from common.queue.depth import depths

    hands: Hands = ctx.obj
    now = hands.clock()
    rows = [
        {
            "queue": one.queue,
            "waiting": one.waiting,
            "in_flight": one.in_flight,
            "delayed": one.delayed,
            "dead": one.dead,
            "depth": one.depth,
            "oldest_age_s": _rounded(hands.overview.age(STAGES[one.queue], now=now)),
        }
        for one in depths(hands.redis, now=now.timestamp())
    ]
    rows.append(_rerenders(hands, now))
    if json:
        answer(rows)
        return
    columns = ("waiting", "in_flight", "delayed", "dead", "depth")
    table(
        ("QUEUE", "WAITING", "IN FLIGHT", "DELAYED", "DEAD", "DEPTH", "OLDEST"),
        ((row["queue"], *(row[name] for name in columns), lasting(row["oldest_age_s"])) for row in rows),  # type: ignore[arg-type]
    )


def _rerenders(hands: Hands, now: datetime) -> dict[str, Any]:
    """Tell of the queue that is a collection: images to be rendered anew, behind every import."""
    counted = hands.rerenders.standing(now)
    return {"queue": "rerender", **counted, "dead": 0, "depth": sum(counted.values()), "oldest_age_s": None}


def _rounded(age: float | None) -> float | None:
    return None if age is None else round(age, 3)

"""Count what workers do in Redis, where the metrics page of any web process can read it.

Workers come and go and run on many machines, so counts kept in a process would be lost or split. These
count up for as long as Redis keeps them; an emptied Redis begins anew, which Prometheus takes for a restart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import redis

KEY = "imports:tallies"
# What `count` and the end of a stage write: a page of metrics takes nothing else from there, and nothing longer.
_FIELD = re.compile(rb"[a-z_]{1,40}(?:\|[a-z_]{1,40}=[\w +.:-]{0,100}){0,8}")
_NUMBER = re.compile(rb"-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?")
# Upper bounds of a stage's duration in seconds; the last bucket has no bound.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


def count(client: redis.Redis, name: str, amount: int = 1, **labels: str) -> None:
    """Raise one counter. Raises RedisError."""
    client.hincrby(KEY, _field(name, labels), amount)


def of_stage(stage: str, outcome: str, seconds: float) -> dict[str, float]:
    """Return the counters that say how long a stage took and how it ended, each with what it is raised by."""
    labels = {"stage": stage, "outcome": outcome}
    bound = next((bound for bound in BUCKETS if seconds <= bound), None)
    bucket = _field("stage_bucket", {**labels, "le": "+Inf" if bound is None else f"{bound:g}"})
    return {bucket: 1, _field("stage_sum", labels): round(seconds, 6)}


def read(client: redis.Redis) -> list[tuple[str, dict[str, str], float]]:
    """Return every counter: name, labels, value. Raises RedisError."""
    stored: Any = client.hgetall(KEY)
    return sorted(_parsed(stored), key=lambda one: (one[0], sorted(one[1].items())))


def _field(name: str, labels: Mapping[str, str]) -> str:
    return "|".join([name, *(f"{label}={labels[label]}" for label in sorted(labels))])


def _parsed(stored: Mapping[bytes, bytes]) -> Iterator[tuple[str, dict[str, str], float]]:
    for field, value in stored.items():
        if _FIELD.fullmatch(field) is None or _NUMBER.fullmatch(value) is None:
            continue  # somebody else put it there
        name, *labels = field.decode().split("|")
        yield name, dict(label.split("=", 1) for label in labels), float(value)

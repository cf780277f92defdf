"""Say who is alive: each process beats into one Redis set, and whoever asks reads the fresh beats.

A worker that is gone is simply no longer fresh. Nothing rests on this but what people see.
Beats bear the time of Redis: a process whose own clock is off would be missed, or forget all the others.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from typing import Any

import redis

KEY = "imports:workers"
FRESH_SECONDS = 15.0
_NAME = re.compile(rb"([a-z_-]{1,40}):([\w.-]{1,255}):([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class Present:
    """One live process: what it is, where it runs, and how long ago it was heard of."""

    process: str
    host: str
    pid: int
    age_s: float


def name_of(process: str) -> str:
    """Return this process's own entry: `fetch:host:pid`."""
    return f"{process}:{socket.gethostname()}:{os.getpid()}"


def beat(client: redis.Redis, name: str) -> None:
    """Be heard, and forget those who have been silent for long. Raises RedisError."""
    now = _now(client)
    pipe = client.pipeline(transaction=False)
    pipe.zadd(KEY, {name: now})
    pipe.zremrangebyscore(KEY, 0, now - 20 * FRESH_SECONDS)
    pipe.execute()


def leave(client: redis.Redis, name: str) -> None:
    """Be gone at once. Raises RedisError."""
    client.zrem(KEY, name)


def alive(client: redis.Redis) -> list[Present]:
    """Return who was heard of lately, by process and host. Raises RedisError."""
    now = _now(client)
    entries: Any = client.zrangebyscore(KEY, now - FRESH_SECONDS, "+inf", withscores=True)
    found = []
    for raw, heard in entries:
        name = _NAME.fullmatch(raw)
        if name is not None:  # whatever else somebody put there is no process of ours
            process, host, pid = (part.decode() for part in name.groups())
            found.append(Present(process, host, int(pid), max(0.0, now - heard)))
    return sorted(found, key=lambda one: (one.process, one.host, one.pid))


def _now(client: redis.Redis) -> float:
    told: Any = client.time()
    return float(told[0] + told[1] / 1e6)

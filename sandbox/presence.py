"""Tell whether the worker processes are up: each writes its name into Redis while it takes work."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping

import redis

from sandbox import processes

WORKERS = "imports:workers"  # a sorted set of `process:host:pid`, scored by when each was last heard of


def expected(words: list[str]) -> int:
    """Return how many worker processes a master's command asks for; none for any other command."""
    if words[0] != "dramatiq":
        return 0
    for option, value in itertools.pairwise(words):
        if option in ("--processes", "-p") and value.isdigit():
            return int(value)
    return 1


def present(redis_url: str) -> set[int]:
    """Return the numbers that are written down; those of processes that have ended may be among them."""
    numbers = set()
    with contextlib.suppress(redis.RedisError), redis.Redis.from_url(redis_url, socket_timeout=1) as client:
        for member in client.zrange(WORKERS, 0, -1):
            pid = member.rpartition(b":")[2]
            if pid.isdigit():
                numbers.add(int(pid))
    return numbers


def missing(redis_url: str, masters: Mapping[str, tuple[int, int]]) -> list[str]:
    """List the masters, given as (number, workers expected), of whose workers some have not appeared yet."""
    up, rows = present(redis_url), processes.table()
    return [
        name
        for name, (master, count) in masters.items()
        if sum(row.group == master and row.pid in up for row in rows) < count
    ]

"""Tell whether the worker processes are up: each beats into Redis while it takes work."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import redis

from common.queue import presence
from sandbox import processes


def expected(words: list[str]) -> int:
    """Return how many worker processes a master's command asks for; none for any other command."""
    if "dramatiq" not in words:
        return 0
    for option, value in itertools.pairwise(words):
        if option in ("--processes", "-p") and value.isdigit():
            return int(value)
    return 1


def missing(redis_url: str, masters: Mapping[str, tuple[int, int]]) -> list[str]:
    """List the masters, given as (number, workers expected), of whose workers some have not been heard of yet.

    Only members of a master's group count: after a kill, those of the run before are fresh for a while.
    """
    try:
        with redis.Redis.from_url(redis_url, socket_timeout=1) as client:
            heard = {one.pid for one in presence.alive(client)}
    except redis.RedisError:
        heard = set()
    rows = processes.table()
    return [
        name
        for name, (master, count) in masters.items()
        if sum(row.group == master and row.pid in heard for row in rows) < count
    ]

"""Look at the stores for whoever watches, without burdening or hanging on either.

One look serves everybody for some seconds, and only one is under way at a time: metrics are scraped and
dashboards refresh themselves, and counting is not free. A part that cannot be had in time is None; the page
that shows it says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import redis
import structlog
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from common.documents.claims import Stage
from common.documents.imports import STAGES
from common.documents.statuses import ENDED, OPEN
from common.queue import allowance, depth, presence, tallies
from common.queue.allowance import Usage
from common.queue.depth import Depth
from common.queue.presence import Present

Part = TypeVar("Part")

FRESH_SECONDS = 5.0
ENDED_SECONDS = 15.0
ALIVE_SECONDS = 1.0
PART_SECONDS = 2.5
COUNT_LIMIT = 10_000

log = structlog.get_logger(__name__)


class Counts(Protocol):
    """Counts imports, groups and rerenders by state, each up to a limit; tells which organizations wait for what, and
    how old the oldest open import at or before a stage is."""

    async def counts(self, statuses: Iterable[str], *, limit: int) -> dict[str, int]: ...

    async def group_counts(self, *, limit: int) -> dict[str, int]: ...

    async def rerenders(self, *, now: datetime, limit: int) -> dict[str, int]: ...

    async def closed_gates(self) -> dict[str, str]: ...

    async def age(self, stage: Stage, *, now: datetime) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. A part that is None could not be had."""

    redis_up: bool
    mongodb_up: bool
    depths: list[Depth] | None = None
    workers: list[Present] | None = None
    tallies: list[tuple[str, dict[str, str], float]] | None = None
    states: dict[str, int] | None = None
    groups: dict[str, int] | None = None  # state → how many
    rerenders: dict[str, int] | None = None  # waiting, in_flight, delayed → how many
    usages: dict[str, Usage] | None = None  # by organization
    closed_gates: dict[str, str] | None = None  # organization → what it waits for
    oldest: dict[str, float | None] = field(default_factory=dict)  # a stage that is missing could not be had


class Shared(Generic[Part]):
    """The last result of a slow question, asked anew when it is older than `seconds`, by one caller only."""

    def __init__(self, ask: Callable[[], Awaitable[Part]], *, seconds: float) -> None:
        self._ask, self._seconds = ask, seconds
        self._lock = asyncio.Lock()
        self._found: tuple[float, Part] | None = None

    async def __call__(self) -> Part:
        """Return the result."""
        async with self._lock:
            if self._found is None or time.monotonic() - self._found[0] >= self._seconds:
                answer = await self._ask()
                self._found = time.monotonic(), answer
            return self._found[1]


class Observed:
    """Both stores, as a watcher sees them. `ping_mongodb` raises PyMongoError where it is away."""

    def __init__(
        self,
        *,
        client: redis.Redis,
        ping_mongodb: Callable[[], Awaitable[Any]],
        counts: Counts,
        clock: Callable[[], datetime],
    ) -> None:
        self._client, self._clock = client, clock
        self._counts = counts
        self.redis_up = Shared(lambda: self._answers(self._in_redis(client.ping)), seconds=ALIVE_SECONDS)
        self.mongodb_up = Shared(lambda: self._answers(ping_mongodb()), seconds=ALIVE_SECONDS)
        self.look = Shared(self._look, seconds=FRESH_SECONDS)
        # What has ended changes little, and is much to count.
        self._ended = Shared(lambda: counts.counts(ENDED, limit=COUNT_LIMIT), seconds=ENDED_SECONDS)

    async def _look(self) -> Look:
        redis_up, mongodb_up = await asyncio.gather(self.redis_up(), self.mongodb_up())
        found: dict[str, Any] = {}
        # A store that is away is not asked again and again: each question would wait for its whole time limit.
        if redis_up:
            found["depths"] = await self._part(
                self._in_redis(lambda: depth.depths(self._client, now=self._now()))
            )
            found["workers"] = await self._part(self._in_redis(lambda: presence.alive(self._client)))
            found["tallies"] = await self._part(self._in_redis(lambda: tallies.read(self._client)))
            found["usages"] = await self._part(
                self._in_redis(lambda: allowance.read_all(self._client, now=self._now()))
            )
        if mongodb_up:
            found["states"] = await self._part(self._states())
            found["groups"] = await self._part(self._counts.group_counts(limit=COUNT_LIMIT))
            found["rerenders"] = await self._part(
                self._counts.rerenders(now=self._clock(), limit=COUNT_LIMIT)
            )
            found["closed_gates"] = await self._part(self._counts.closed_gates())
            ages = {stage.name: await self._part(self._age(stage)) for stage in STAGES.values()}
            found["oldest"] = {name: age[0] for name, age in ages.items() if age is not None}
        return Look(redis_up=redis_up, mongodb_up=mongodb_up, **found)

    async def _states(self) -> dict[str, int]:
        return {**await self._counts.counts(OPEN, limit=COUNT_LIMIT), **await self._ended()}

    async def _age(self, stage: Stage) -> tuple[float | None]:
        """Return the age in a tuple, so that «nothing is open» differs from «could not be had»."""
        return (await self._counts.age(stage, now=self._clock()),)

    def _now(self) -> float:
        return self._clock().timestamp()

    async def _in_redis(self, ask: Callable[[], Part]) -> Part:
        return await asyncio.to_thread(ask)

    async def _answers(self, asked: Awaitable[Any]) -> bool:
        return await self._part(asked) is not None

    async def _part(self, asked: Awaitable[Part]) -> Part | None:
        try:
            return await asyncio.wait_for(asked, PART_SECONDS)
        except (PyMongoError, RedisError, OSError, TimeoutError) as error:
            log.debug("a store did not answer", error=type(error).__name__)
            return None

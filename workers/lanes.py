"""Keep the calls at once to one organization few, all workers together, by places that nobody can leak.

Salesforce refuses every new call of an organization while too many long ones are going on. The holder of a
place prolongs it while bytes come (see `common.queue.places`). Redis away: no limit but the process's own threads.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from collections.abc import Callable, Iterator

import redis

from common.queue.places import Places
from workers.failures import Throttled
from workers.redis_away import quietly

LEASE_SECONDS = 30.0  # longer than a read may take, at whose end the holder is heard of again
PROLONG_SECONDS = 5.0
WAIT_SECONDS = 2.0


class RedisLanes:
    """The places of one organization."""

    def __init__(
        self,
        client: redis.Redis,
        organization_id: str,
        *,
        places: int,
        lease: float = LEASE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places, self._key = (
            Places(client, most=places, seconds=lease),
            f"imports:lanes:{organization_id}",
        )
        self._monotonic = monotonic

    @contextlib.contextmanager
    def lane(self) -> Iterator[Callable[[], None]]:
        """Take a place for the length of a block, or raise Throttled where all stay taken for two seconds."""
        holder = secrets.token_hex(8)
        self._enter(holder)
        prolonged = self._monotonic()

        def prolong() -> None:
            nonlocal prolonged
            if self._monotonic() - prolonged >= PROLONG_SECONDS:
                prolonged = self._monotonic()
                with quietly("lanes not shared"):
                    self._places.take(self._key, holder)

        try:
            yield prolong
        finally:
            with quietly("lanes not shared"):
                self._places.leave(self._key, holder)

    def _enter(self, holder: str) -> None:
        patience = self._monotonic() + WAIT_SECONDS
        while True:
            entered = True
            with quietly("lanes not shared"):
                entered = self._places.take(self._key, holder)
            if entered:
                return
            if self._monotonic() >= patience:
                raise Throttled(
                    "salesforce_concurrency",
                    "As many calls to the organization's Salesforce are going on as are allowed at once.",
                    waiting_for="salesforce_concurrency",
                    scope="import",
                    probe_after=random.uniform(1, 5),  # noqa: S311 - jitter
                )
            time.sleep(0.05)

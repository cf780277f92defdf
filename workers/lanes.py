"""Keep the calls at once to one organization few, all workers together, by places that nobody can leak.

Salesforce refuses every new call of an organization while too many long ones are going on. A place is held
by a lease in a sorted set, which its holder prolongs while bytes come; whoever is killed loses it with its
lease. Redis away: no limit but the process's own threads.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from collections.abc import Callable, Iterator

import redis

from workers.failures import Throttled
from workers.redis_away import quietly

LEASE_SECONDS = 30.0  # longer than a read may take, at whose end the holder is heard of again
PROLONG_SECONDS = 5.0
WAIT_SECONDS = 2.0

# By the clock of Redis, which all holders share. ARGV: milliseconds of a lease, places, holder
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZSCORE', KEYS[1], ARGV[3]) == false and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""


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
        self._client, self._key, self._places = client, f"imports:lanes:{organization_id}", places
        self._lease, self._monotonic = lease, monotonic
        self._take = client.register_script(_TAKE)

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
                    self._taken_by(holder)

        try:
            yield prolong
        finally:
            with quietly("lanes not shared"):
                self._client.zrem(self._key, holder)

    def _enter(self, holder: str) -> None:
        patience = self._monotonic() + WAIT_SECONDS
        while True:
            entered = True
            with quietly("lanes not shared"):
                entered = self._taken_by(holder)
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

    def _taken_by(self, holder: str) -> bool:
        """Take a place, or prolong one that is held. Raises RedisError."""
        return bool(self._take(keys=[self._key], args=[int(self._lease * 1000), self._places, holder]))

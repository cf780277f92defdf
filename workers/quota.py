"""Leave an organization's API calls to its business: the rule, and what all workers know of the numbers.

    left                        children of groups        imports posted singly
    above the reserve           go on                     go on
    between reserve and floor   pause                     go on
    at the floor                pause                     pause, and the organization's gate closes

Reserve and floor are shares of the daily limit. What is left is known from each answer of Salesforce; where
the known numbers are old and would forbid something, one worker asks for the present ones.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import redis

from common.queue import allowance
from common.queue.allowance import Usage
from workers.failures import Throttled
from workers.redis_away import quietly

FRESH_SECONDS = 55.0
"""So long numbers are believed that forbid something: a little less than the first pause of a closed gate."""
TELL_SECONDS, READ_SECONDS = 1.0, 0.5
LOOK_AGAIN_SECONDS, LOOK_AGAIN_CAP = 60.0, 900.0
WAITING_FOR = "salesforce_quota"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How much of the day's limit is left to others, as shares of it."""

    reserve: float = 0.2
    floor: float = 0.02

    def kept(self, limit: int, *, group: bool) -> int:
        """Return how many calls must be left for a piece of work to begin."""
        return int(limit * (self.reserve if group else self.floor))


def rule_of(reserve_percent: float, floor_percent: float) -> Rule:
    """Return the rule that the settings name."""
    return Rule(reserve=reserve_percent / 100, floor=floor_percent / 100)


class Allowances:
    """The allowances of all organizations, as far as this process asks. `now` is the store's time in seconds."""

    def __init__(
        self,
        client: redis.Redis,
        rule: Rule,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._rule, self._now, self._monotonic = client, rule, now, monotonic
        self._of: dict[str, RedisQuota] = {}
        self._lock = threading.Lock()

    def of(self, organization_id: str) -> RedisQuota:
        """Return one organization's."""
        with self._lock:
            if organization_id not in self._of:
                self._of[organization_id] = RedisQuota(
                    self._client, organization_id, self._rule, now=self._now, monotonic=self._monotonic
                )
            return self._of[organization_id]


class RedisQuota:
    """What is known of one organization's calls, shared through Redis. Raises nothing of Redis's.

    Where Redis is away, the numbers that this process saw last are what counts.
    """

    def __init__(
        self,
        client: redis.Redis,
        organization_id: str,
        rule: Rule,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._id, self._rule = client, organization_id, rule
        self._now, self._monotonic = now, monotonic
        self._lock = threading.Lock()
        self._seen: Usage | None = None
        self._untold, self._told_at = 0, -math.inf
        self._read: Usage | None = None
        self._read_at = -math.inf

    def saw(self, used: int, limit: int) -> None:
        """Note what an answer told of the calls of the last 24 hours, and tell the others.

        Once a second is enough while there are plenty; what forbids something is told at once.
        """
        now, moment = self._now(), self._monotonic()
        with self._lock:
            self._seen = Usage(used, limit, now)
            plenty = self._suffices(self._seen, group=True)
            if plenty and moment - self._told_at < TELL_SECONDS:
                return
            calls, self._untold, self._told_at = self._untold, 0, moment
        with quietly("quota not shared"):
            allowance.tell(self._client, self._id, used=used, limit=limit, calls=calls, now=now)

    def spent(self) -> None:
        """Count a call of our own."""
        with self._lock:
            self._untold += 1

    def admit(self, look: Callable[[], None], *, group: bool) -> None:
        """Let a piece of work begin, or raise Throttled where the calls that are left are not for it."""
        usage = self.usage()
        if usage is None or self._suffices(usage, group=group):
            return
        if self._is_old(usage) and self._may_look():
            look()
            usage = self.usage() or usage
            if self._suffices(usage, group=group):
                with quietly("quota not shared"):
                    allowance.found(self._client, self._id)
                return
        raise self._throttled(usage, group=group)

    def frees_at(self) -> datetime | None:
        """Return when at the latest there should be calls again; None where nothing is known."""
        usage = self.usage()
        return None if usage is None else self.expected(usage, group=False)

    def pauses(self, *, group: bool) -> Usage | None:
        """Return the numbers that forbid a piece of work now.

        None where it may try: also where they are old and nobody has asked for the present ones of late.
        """
        usage = self.usage()
        if usage is None or self._suffices(usage, group=group):
            return None
        return None if self._is_old(usage) and not usage.asked else usage

    def expected(self, usage: Usage, *, group: bool) -> datetime:
        """Return when at the latest a piece of work may begin, by what is known."""
        wanted = self._rule.kept(usage.limit, group=group) + 1
        return datetime.fromtimestamp(usage.frees(wanted, now=self._now()), UTC)

    def usage(self) -> Usage | None:
        """Return the latest numbers that any worker has told, or this one has seen."""
        with self._lock:
            if self._monotonic() - self._read_at >= READ_SECONDS:
                self._read_at = self._monotonic()
                with quietly("quota not shared"):
                    self._read = allowance.read(self._client, self._id, now=self._now())
            found = self._read
        seen = self._seen
        if found is None or seen is None:
            return found or seen
        if seen.at > found.at:
            return replace(found, used=seen.used, limit=seen.limit, at=seen.at)
        return found

    def _suffices(self, usage: Usage, *, group: bool) -> bool:
        return usage.left > self._rule.kept(usage.limit, group=group)

    def _is_old(self, usage: Usage) -> bool:
        return self._now() - usage.at > FRESH_SECONDS

    def _may_look(self) -> bool:
        with quietly("quota not shared"):
            return allowance.may_look(self._client, self._id, first=FRESH_SECONDS, cap=LOOK_AGAIN_CAP)
        return True

    def _throttled(self, usage: Usage, *, group: bool) -> Throttled:
        share = f"{usage.left} of {usage.limit} API calls of the last 24 hours are left"
        detail = (
            f"{share}, which the organization keeps for its own business; the group goes on as calls come free."
            if group
            else f"{share}, and the last of them are not touched; imports go on as calls come free."
        )
        return Throttled(
            "salesforce_quota",
            detail,
            waiting_for=WAITING_FOR,
            scope="import" if group else "organization",
            probe_after=LOOK_AGAIN_SECONDS,
            probe_cap=LOOK_AGAIN_CAP,
            expected_at=self.expected(usage, group=group),
        )

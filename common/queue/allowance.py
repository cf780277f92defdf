"""Keep in Redis what is known of each organization's API calls: used, left, and how many of them are ours.

Salesforce tells used and limit with each answer. Workers write the latest word down, and count their own
calls by the hour, so that whoever asks can see who uses the organization's allowance. All of it is a hint:
an emptied Redis knows nothing until the next answer. Times are the store's (MongoDB's): what one process
tells others judge by its age. Keys, for an organization O:

    imports:quota          set    organizations that something is known of
    imports:quota:O        hash   used, limit, at (epoch seconds)
    imports:calls:O        hash   hour (epoch seconds / 3600) → calls of ours
    imports:quota:O:look   text   somebody has asked for the present numbers of late
    imports:quota:O:looks  count  how often in a row that was of no use
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import redis

ORGANIZATIONS = "imports:quota"
DAY_HOURS = 24
_ID = re.compile(rb"[\w-]{1,64}")


@dataclass(frozen=True, slots=True)
class Usage:
    """What an organization's Salesforce told last, and what we know of it."""

    used: int
    limit: int
    at: float  # epoch seconds
    ours: int = 0  # calls of ours within the last 24 hours
    hours: tuple[tuple[int, int], ...] = ()  # (hour, calls of ours), oldest first
    asked: bool = False  # whether somebody has asked for the present numbers of late

    @property
    def left(self) -> int:
        """Return how many calls are left, never less than zero."""
        return max(0, self.limit - self.used)

    def frees(self, wanted: int, *, now: float) -> float:
        """Return when at the latest `wanted` calls will be left, as epoch seconds, by what is known.

        The window rolls: calls of ours come free a day after they were made; when the others were made
        nobody knows, so they are counted on for nothing before the day is over.
        """
        missing = wanted - self.left
        if missing <= 0:
            return now
        for hour, calls in self.hours:
            missing -= calls
            if missing <= 0:
                return max(now, (hour + 1 + DAY_HOURS) * 3600.0)
        return now + DAY_HOURS * 3600


def tell(  # noqa: PLR0913 - all of it by keyword
    client: redis.Redis, organization_id: str, *, used: int, limit: int, calls: int, now: float
) -> None:
    """Write the latest word down, of the time `now` (epoch seconds), and add calls of ours. Raises RedisError."""
    hour = int(now // 3600)
    pipe = client.pipeline(transaction=False)
    pipe.sadd(ORGANIZATIONS, organization_id)
    pipe.hset(_key(organization_id), mapping={"used": used, "limit": limit, "at": now})
    if calls:
        pipe.hincrby(_calls(organization_id), str(hour), calls)
        pipe.expire(_calls(organization_id), (DAY_HOURS + 1) * 3600)
        pipe.hdel(_calls(organization_id), str(hour - DAY_HOURS - 1), str(hour - DAY_HOURS - 2))
    pipe.execute()


def read(client: redis.Redis, organization_id: str, *, now: float) -> Usage | None:
    """Return what is known of an organization at `now` (epoch seconds); None where nothing is. Raises RedisError."""
    pipe = client.pipeline(transaction=False)
    pipe.hgetall(_key(organization_id))
    pipe.hgetall(_calls(organization_id))
    pipe.exists(f"{_key(organization_id)}:look")
    told, calls, asked = pipe.execute()
    return _usage(told, calls, asked=bool(asked), now=now)


def read_all(client: redis.Redis, *, now: float) -> dict[str, Usage]:
    """Return what is known of each organization, by id. Raises RedisError."""
    members: Any = client.smembers(ORGANIZATIONS)
    found = {}
    for organization_id in sorted(one.decode() for one in members if _ID.fullmatch(one)):
        usage = read(client, organization_id, now=now)
        if usage is not None:
            found[organization_id] = usage
    return found


def may_look(client: redis.Redis, organization_id: str, *, first: float, cap: float) -> bool:
    """Win the right to ask for the present numbers. Raises RedisError.

    The next one may ask after `first` seconds, a wait that doubles up to `cap` until `found` is told.
    """
    key = f"{_key(organization_id)}:look"
    if not client.set(key, b"1", nx=True, px=int(first * 1000)):
        return False
    pipe = client.pipeline(transaction=False)
    pipe.incr(f"{key}s")
    pipe.expire(f"{key}s", int(4 * cap))
    looks = int(pipe.execute()[0])
    client.pexpire(key, int(min(cap, first * 2.0 ** min(looks - 1, 16)) * 1000))
    return True


def found(client: redis.Redis, organization_id: str) -> None:
    """Note that asking was of use: calls have come free. Raises RedisError."""
    client.delete(f"{_key(organization_id)}:look", f"{_key(organization_id)}:looks")


def _usage(told: dict[bytes, bytes], calls: dict[bytes, bytes], *, asked: bool, now: float) -> Usage | None:
    if not told:
        return None
    try:
        return _usage_of(told, calls, asked=asked, now=now)
    except (KeyError, ValueError):
        return None  # somebody else wrote there


def _usage_of(told: dict[bytes, bytes], calls: dict[bytes, bytes], *, asked: bool, now: float) -> Usage:
    first = int(now // 3600) - DAY_HOURS
    hours = sorted((int(hour), int(number)) for hour, number in calls.items() if int(hour) >= first)
    return Usage(
        used=int(told[b"used"]),
        limit=int(told[b"limit"]),
        at=float(told[b"at"]),
        ours=sum(number for _, number in hours),
        hours=tuple(hours),
        asked=asked,
    )


def _key(organization_id: str) -> str:
    return f"imports:quota:{organization_id}"


def _calls(organization_id: str) -> str:
    return f"imports:calls:{organization_id}"

"""Let few do something at once, all processes together, by places that nobody can leak.

A place is held by a lease in a sorted set, which its holder may prolong; a process that is killed loses it with its lease.
"""

from __future__ import annotations

import redis

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


class Places:
    """As many places under each key as are `most`, for so many seconds. Raises RedisError where Redis is away."""

    def __init__(self, client: redis.Redis, *, most: int, seconds: float) -> None:
        self._client, self._most, self._seconds = client, most, seconds
        self._take = client.register_script(_TAKE)

    def take(self, key: str, holder: str) -> bool:
        """Take a place, or prolong one that is held. False where all are taken."""
        return bool(self._take(keys=[key], args=[int(self._seconds * 1000), self._most, holder]))

    def leave(self, key: str, holder: str) -> None:
        """Give a place to the next one."""
        self._client.zrem(key, holder)

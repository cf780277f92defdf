"""Ring for work so that nobody's ten thousand stand before another's one.

An organization has at most N bells out in a queue: messages that wait or are being worked on. Whatever is
beyond that waits in the organization's own room, oldest first, and is rung as others finish. Dramatiq's
queue therefore holds a handful of messages of each organization, and takes them in turn.

How many N is depends on who else is there, or those that wait would still find every worker taken:
- While a guest is there, an organization that has nothing waiting in a room and has just been rung for, the
  others keep a render process free for it, and ask less of the stores. Alone, one has all that N allows.
- Organizations that have thousands waiting each have an equal part of what one has alone.
- All organizations together have few more bells out in a queue than one alone. What an organization has out
  anyway it keeps, and its first bell always rings. So two whose Salesforce is stuck fill no more threads
  than one does and one more, and so each further one.

All of it lives in Redis and all of it is a hint. Ringing twice is harmless; what Redis forgets, the sweeper
asks for again, since each open import has its `due_at`. What cannot be read is passed over and removed, and a
key of another type is removed too (`foreign.py`). What is rung for is a stage; those that share a queue
have bells and rooms of their own, so an organization has one listing of an album out beside its fetches,
whatever else of it waits. Keys, for a stage Q and an organization O (an import may be a group):

    imports:bells:Q       sorted set  O|import → when the bell counts as lost (ms)
    imports:rung:Q        hash        O|import → when its bell was last rung (ms)
    imports:bells:Q:O     set         imports of O whose bell is out
    imports:room:Q:O      sorted set  imports of O that wait → when they were accepted (ms)
    imports:rooms:Q       set         organizations that have a room
    imports:later:Q       sorted set  imports that wait for their next attempt → when it comes (ms)
    imports:epoch         text        gone or changed when Redis was emptied or replaced
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dramatiq
import redis
import structlog

from common.crashpoints import reached
from common.queue.jobs import BELLS, message

log = structlog.get_logger(__name__)

EPOCH = "imports:epoch"
# Listings that an organization may have out. Each is seconds of work that only leads to more; a second one
# beside it would take a thread from others and give nothing sooner.
LISTINGS = 1
BELL_SECONDS = 12.0  # a bell that nobody answered for so long is looked at again

# So long after it was rung for, an organization counts as being there. No longer: one that is stuck is no guest.
FRESH_SECONDS = 3.0
# Renders of an organization that may wait, for each that it may have out, before it is rung for no more fetches.
# What is fetched beyond what can be rendered soon only takes the stores from others.
AHEAD = 32
IMPORT_BELLS = ("fetch", "render")

# Every script ends by letting imports out of the room while bells are free, and returns whom to ring for.
_FILL = """
-- KEYS from 6: bells, times of ringing and rooms of fetches, then of renders; 12: the organization's room of renders
-- Returns whether an organization is there that has nothing waiting, and how many that have.
local function others()
  local guest, rivals, known = false, 0, {[ARGV[1]] = true}
  for key = 6, 9, 3 do
    for _, entry in ipairs(redis.call('ZRANGE', KEYS[key], 0, -1)) do
      local organization = string.match(entry, '^[^|]*')
      local rung = tonumber(redis.call('HGET', KEYS[key + 1], entry) or '0') or 0
      local fresh = rung > tonumber(ARGV[7])
      if fresh and not known[organization] then
        known[organization] = true
        local waits = redis.call('SISMEMBER', KEYS[8], organization) == 1
          or redis.call('SISMEMBER', KEYS[11], organization) == 1
        if waits then rivals = rivals + 1 else guest = true end
      end
    end
  end
  return guest, rivals
end
local function may_ring(share)
  if ARGV[8] ~= '' and redis.call('ZCARD', KEYS[12]) >= tonumber(ARGV[8]) then return false end
  local out = redis.call('SCARD', KEYS[2])
  return out < share and (out == 0 or redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[6]))
end
local function fill()
  local rung, share = {}, tonumber(ARGV[2])
  if share > 1 then
    local guest, rivals = others()
    share = math.min(share, math.ceil(tonumber(ARGV[6]) / (rivals + 1)))
    if guest then share = math.min(share, tonumber(ARGV[5])) end
  end
  while may_ring(share) do
    local first = redis.call('ZPOPMIN', KEYS[3])
    if #first == 0 then redis.call('SREM', KEYS[4], ARGV[1]); break end
    redis.call('SADD', KEYS[2], first[1])
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1] .. '|' .. first[1])
    redis.call('HSET', KEYS[5], ARGV[1] .. '|' .. first[1], ARGV[4])
    rung[#rung + 1] = first[1]
  end
  return rung
end
local function off(id)
  redis.call('SREM', KEYS[2], id)
  redis.call('ZREM', KEYS[1], ARGV[1] .. '|' .. id)
  redis.call('HDEL', KEYS[5], ARGV[1] .. '|' .. id)
end
local function wait(id, accepted)
  redis.call('ZADD', KEYS[3], 'NX', accepted, id)
  redis.call('SADD', KEYS[4], ARGV[1])
end
"""
# ARGV: organization, bells it may have out, when a bell rung now counts as lost, now, bells it may have out
# while there is a guest, bells of all at which only first ones ring, since when one is fresh, renders that may wait
# ('' for any), then import, accepted …
_ASK = (
    _FILL
    + """
for i = 9, #ARGV, 2 do
  if redis.call('SISMEMBER', KEYS[2], ARGV[i]) == 0 then wait(ARGV[i], ARGV[i + 1]) end
end
return fill()
"""
)
_ANSWERED = (
    _FILL
    + """
off(ARGV[9])
redis.call('ZREM', KEYS[3], ARGV[9])
return fill()
"""
)
_RETURN = (
    _FILL
    + """
off(ARGV[9])
wait(ARGV[9], ARGV[10])
return {}
"""
)


@dataclass(frozen=True, slots=True)
class Bell:
    """A bell that counts as lost: nobody has answered it in time."""

    organization_id: str
    import_id: str
    rung_at: float  # epoch seconds


@dataclass(frozen=True, slots=True)
class Share:
    """How many bells an organization may have out in a queue."""

    alone: int
    beside_guest: int

    @property
    def of_all(self) -> int:
        """Bells of all organizations at which only the first one of an organization rings."""
        return self.alone + max(1, self.alone // 6)


class Doorbells:
    """Ring, answer, wait. Everything raises RedisError where Redis is away; then the sweeper rings later.

    `now` is the store's time in seconds: other processes read when a bell counts as lost, and one whose own
    clock is days ahead would ring bells that nobody takes for lost before days have passed.
    """

    def __init__(
        self,
        client: redis.Redis,
        broker: dramatiq.Broker,
        *,
        per_organization: int,
        now: Callable[[], float],
        renders_per_organization: int | None = None,
    ) -> None:
        self._client, self._broker = client, broker
        self._now = now
        renders = per_organization if renders_per_organization is None else renders_per_organization
        self._shares = {
            "fetch": Share(alone=per_organization, beside_guest=max(1, per_organization // 3)),
            "render": Share(alone=renders, beside_guest=max(1, renders - 2)),
            "expand": Share(alone=LISTINGS, beside_guest=LISTINGS),
        }
        self._ahead = renders * AHEAD
        self._ask = client.register_script(_ASK)
        self._answered = client.register_script(_ANSWERED)
        self._return = client.register_script(_RETURN)

    def ask(
        self,
        queue: str,
        organization_id: str,
        imports: Iterable[tuple[str, datetime]],
        *,
        limit: int | None = None,
    ) -> None:
        """Ask that imports (id, time of acceptance) be looked at: rung for, or put into the room.

        One whose bell is out, or that waits already, is left as it is, so nothing is multiplied. `limit`
        is how many bells the organization may have out, where that is not the usual number.
        """
        waiting: list[Any] = []
        for import_id, accepted_at in imports:
            waiting += [import_id, int(accepted_at.timestamp() * 1000)]
        self._ring(queue, organization_id, self._run(self._ask, queue, organization_id, waiting, limit))

    def answered(self, queue: str, organization_id: str, import_id: str) -> None:
        """Take a bell back, whatever became of the import, and ring for the next ones of the organization."""
        self._ring(queue, organization_id, self._run(self._answered, queue, organization_id, [import_id]))
        if queue == "render":
            # Fetches may have stopped because renders waited. One is enough, for each that ends rings for more;
            # where the organization's gate is closed, that one finds it so.
            self.fill("fetch", organization_id, limit=1)

    def returned(self, queue: str, organization_id: str, import_id: str, accepted_at: datetime) -> None:
        """Put an import back into the room without ringing for another: its organization cannot be served."""
        accepted = int(accepted_at.timestamp() * 1000)
        self._run(self._return, queue, organization_id, [import_id, accepted])

    def fill(self, queue: str, organization_id: str, *, limit: int | None = None) -> int:
        """Let imports out of the room while bells are free (at most `limit` out). Returns how many rang."""
        rung = self._run(self._ask, queue, organization_id, [], limit)
        self._ring(queue, organization_id, rung)
        return len(rung)

    def held(
        self, queue: str, organization_id: str, import_id: str, *, seconds: float = BELL_SECONDS
    ) -> None:
        """Count a bell as answered for so much longer: its import is being worked on, or its queue is long."""
        entry = f"{organization_id}|{import_id}"
        self._client.zadd(_bells(queue), {entry: self._lost_at(seconds)}, xx=True)

    def again(self, queue: str, organization_id: str, import_id: str, *, seconds: float) -> None:
        """Ring once more for a bell that was lost; it counts as lost again after so many seconds."""
        self.held(queue, organization_id, import_id, seconds=seconds)
        self._client.hset(f"imports:rung:{queue}", f"{organization_id}|{import_id}", str(self._lost_at(0)))
        self._ring(queue, organization_id, [import_id])

    def later(self, queue: str, import_id: str, *, seconds: float) -> None:
        """Note that an import waits for its next attempt, so that the queue's depth tells of it."""
        self._client.zadd(f"imports:later:{queue}", {import_id: self._lost_at(seconds)})

    def lost(self, queue: str, *, limit: int) -> list[Bell]:
        """Return bells that nobody answered in time, and forget attempts that have come."""
        self._client.zremrangebyscore(f"imports:later:{queue}", "-inf", self._lost_at(0))
        entries: Any = self._client.zrangebyscore(_bells(queue), "-inf", self._lost_at(0), start=0, num=limit)
        if not entries:
            return []
        rung: Any = self._client.hmget(f"imports:rung:{queue}", entries)
        found = []
        for entry, at in zip(entries, rung, strict=True):
            organization_id, told, import_id = (_read(entry) or "").partition("|")
            if told:
                found.append(Bell(organization_id, import_id, _seconds(at)))
            else:
                self._forget(queue, entry)
        return found

    def organizations_waiting(self, queue: str) -> list[str]:
        """Return the organizations that have imports in their room."""
        members: Any = self._client.smembers(f"imports:rooms:{queue}")
        found = []
        for member in members:
            if (organization_id := _read(member)) is None:
                self._client.srem(f"imports:rooms:{queue}", member)
            else:
                found.append(organization_id)
        return sorted(found)

    def epoch(self, mine: str) -> str:
        """Return the mark of this Redis's contents, leaving `mine` where there is none (it was emptied)."""
        self._client.set(EPOCH, mine, nx=True)
        found: Any = self._client.get(EPOCH)
        return found.decode(errors="replace") if found is not None else ""

    def _run(
        self, script: Any, queue: str, organization_id: str, rest: list[Any], limit: int | None = None
    ) -> list[str]:
        keys = [
            _bells(queue),
            f"imports:bells:{queue}:{organization_id}",
            f"imports:room:{queue}:{organization_id}",
            f"imports:rooms:{queue}",
            f"imports:rung:{queue}",
        ]
        for each in IMPORT_BELLS:
            keys += [_bells(each), f"imports:rung:{each}", f"imports:rooms:{each}"]
        keys.append(f"imports:room:render:{organization_id}")
        share = self._shares[queue]
        rung = script(
            keys=keys,
            args=[
                organization_id,
                share.alone if limit is None else limit,
                self._lost_at(BELL_SECONDS),
                self._lost_at(0),
                share.beside_guest,
                share.of_all,
                self._lost_at(-FRESH_SECONDS),
                self._ahead if queue == "fetch" else "",
                *rest,
            ],
        )
        # One that cannot be read has no import; its bell soon counts as lost, and is removed then.
        return [import_id for entry in rung if (import_id := _read(entry)) is not None]

    def _forget(self, queue: str, entry: bytes) -> None:
        """Remove a bell that cannot be read, from its organization's count as well."""
        organization, _, rung_for = entry.partition(b"|")
        self._client.zrem(_bells(queue), entry)
        self._client.hdel(f"imports:rung:{queue}", entry)
        self._client.srem(f"{_bells(queue)}:".encode() + organization, rung_for)
        log.warning("bell cannot be read", queue=queue, entry=repr(entry))

    def _ring(self, queue: str, organization_id: str, import_ids: list[str]) -> None:
        """Send the messages. One that cannot be sent counts as lost at once and is rung for by the sweeper."""
        job = BELLS[queue]
        for import_id in import_ids:
            reached(f"bell.taken_{queue}")
            try:
                self._broker.enqueue(message(job(import_id)))
            except Exception:
                self.held(queue, organization_id, import_id, seconds=0)
                raise
            reached(f"bell.sent_{queue}")

    def _lost_at(self, seconds: float) -> int:
        return int((self._now() + seconds) * 1000)


def _bells(queue: str) -> str:
    return f"imports:bells:{queue}"


def _read(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _seconds(milliseconds: bytes | None) -> float:
    """Return when a bell was rung; long ago where that is not known or no number."""
    try:
        return int(milliseconds or 0) / 1000
    except (ValueError, OverflowError):
        return 0.0

"""Remove what somebody else put where our keys or dramatiq's are: a key of another type.

Redis answers WRONGTYPE for ever to each process that needs such a key, so one stray SET would stop all imports, or
an organization's. What the key held were hints; with the epoch gone, everything open is asked for again.
"""

from __future__ import annotations

from typing import Any

import redis

from common.queue.dispatch import EPOCH
from common.queue.jobs import NAMESPACE, QUEUES
from common.queue.jobs import STAGES as JOBS_OF_STAGES

# Of which type the keys of a stage and those of one organization in a stage are; see dispatch.py.
OF_STAGE = {
    b"dispatched": b"zset",
    b"messages": b"hash",
    b"active": b"hash",
    b"backlogs": b"zset",
    b"delayed": b"zset",
}
OF_ORGANIZATION = {b"backlog": b"zset"}
# And those of dramatiq: by the ending of a queue's name, see its dispatch.lua.
OF_QUEUE = {b"": b"list", b".msgs": b"hash", b".XQ": b"zset", b".XQ.msgs": b"hash"}
STAGES = frozenset(stage.encode() for stage in JOBS_OF_STAGES)
_DRAMATIQ = f"{NAMESPACE}:".encode()


def foreign(client: redis.Redis) -> list[str]:
    """Return the names of our keys that are of another type. Walks all names; raises RedisError."""
    return [_text(name) for name in _foreign(client)]


def mend(client: redis.Redis) -> list[str]:
    """Remove such keys and have all that is open asked for again. Returns their names; raises RedisError."""
    found = _foreign(client)
    if found:
        client.delete(*found, EPOCH)
        for queue in QUEUES:
            _forget_lost_messages(client, queue)
    return [_text(name) for name in found]


def is_foreign_type(error: Exception) -> bool:
    """Tell whether Redis refused a command because a key is of another type."""
    return "WRONGTYPE" in str(error)


def _foreign(client: redis.Redis) -> list[bytes]:
    ours = (
        name
        for match in ("imports:*", f"{NAMESPACE}:*")
        for name in client.scan_iter(match=match, count=1000)
    )
    names = sorted({name for name in ours if _type(name)})
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
    types = pipe.execute()
    return [name for name, found in zip(names, types, strict=True) if found not in {_type(name), b"none"}]


def _forget_lost_messages(client: redis.Redis, queue: str) -> None:
    """Drop what a queue keeps of messages that neither wait nor are in hand: nobody would ever fetch them."""
    key = f"{NAMESPACE}:{queue}"
    waiting: Any = client.lrange(key, 0, -1)
    in_hand = [
        client.smembers(name)
        for name in client.scan_iter(match=f"{NAMESPACE}:__acks__.*.{queue}", count=1000)
    ]
    kept: Any = client.hkeys(f"{key}.msgs")
    lost = set(kept).difference(waiting, *in_hand)
    if lost:
        client.hdel(f"{key}.msgs", *lost)


def _type(name: bytes) -> bytes | None:
    """Return of which type a key has to be; None for one that is none of these."""
    if name in (EPOCH.encode(), b"imports:turn"):
        return b"string"
    if name == b"imports:recent":
        return b"zset"
    if name.startswith(_DRAMATIQ):
        return _type_in_dramatiq(name.removeprefix(_DRAMATIQ))
    _, kind, *rest = name.split(b":", 3)
    if not rest or rest[0] not in STAGES:
        return None
    return (OF_STAGE if len(rest) == 1 else OF_ORGANIZATION).get(kind)


def _type_in_dramatiq(name: bytes) -> bytes | None:
    if name == b"__heartbeats__":
        return b"zset"
    if name.startswith(b"__acks__."):
        return b"set"
    for queue in QUEUES:
        if name.startswith(queue.encode()):
            return OF_QUEUE.get(name.removeprefix(queue.encode()).removeprefix(b".DQ"))
    return None


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")

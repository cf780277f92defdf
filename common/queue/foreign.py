"""Remove what somebody else put where doorbells are kept: a key of a type that is not ours.

Redis answers WRONGTYPE for ever to whoever needs such a key, so one stray SET would stop all imports, or an
organization's. What the key held were hints; with the epoch gone, everything open is asked for again.
"""

from __future__ import annotations

import redis

from common.queue.doorbells import EPOCH
from common.queue.jobs import BELLS

# Of which type the keys of a stage and those of one organization in a stage are; see doorbells.py.
OF_STAGE = {b"bells": b"zset", b"rung": b"hash", b"rooms": b"set", b"later": b"zset"}
OF_ORGANIZATION = {b"bells": b"set", b"room": b"zset"}
STAGES = frozenset(stage.encode() for stage in BELLS)


def foreign(client: redis.Redis) -> list[str]:
    """Return the names of our keys that are of another type. Walks all names; raises RedisError."""
    return [_text(name) for name in _foreign(client)]


def mend(client: redis.Redis) -> list[str]:
    """Remove such keys and have all that is open asked for again. Returns their names; raises RedisError."""
    found = _foreign(client)
    if found:
        # Without the times at which its bells are lost, an organization's count would hold them for ever.
        counted = [
            name for stage in STAGES if b"imports:bells:" + stage in found for name in _counted(client, stage)
        ]
        client.delete(*found, *counted, EPOCH)
    return [_text(name) for name in found]


def _foreign(client: redis.Redis) -> list[bytes]:
    names = sorted({name for name in client.scan_iter(match="imports:*", count=1000) if _type(name)})
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
    types = pipe.execute()
    return [name for name, found in zip(names, types, strict=True) if found not in {_type(name), b"none"}]


def _counted(client: redis.Redis, stage: bytes) -> list[bytes]:
    return list(client.scan_iter(match=b"imports:bells:" + stage + b":*", count=1000))


def _type(name: bytes) -> bytes | None:
    """Return of which type a key has to be; None for one that is no doorbell's."""
    if name == EPOCH.encode():
        return b"string"
    _, kind, *rest = name.split(b":", 3)
    if not rest or rest[0] not in STAGES:
        return None
    return (OF_STAGE if len(rest) == 1 else OF_ORGANIZATION).get(kind)


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")

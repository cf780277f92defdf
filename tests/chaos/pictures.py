"""Draw what a run imports: small good pictures, no two alike, and hostile ones whose end is known.

Everything is made of the seed and a number, so that a run can be repeated byte for byte. A name begins with
the kind of its picture, which is how the end of an import is judged (`end_of`).
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from dataclasses import dataclass

from PIL import Image

from sandbox.salesforce.ids import made_id

EVERY = 10  # one picture in so many is hostile
_FORMATS = (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif"))
# How an import of each hostile kind must fail; any other end is a wrong one.
CODES: dict[str, frozenset[str]] = {
    "corrupt": frozenset({"image_corrupt", "image_truncated"}),
    "truncated": frozenset({"image_truncated", "image_corrupt"}),
    "text": frozenset({"image_unsupported", "not_an_image"}),
    "bomb": frozenset({"image_too_large"}),
    "missing": frozenset({"attachment_not_found"}),
    "impossible": frozenset({"attachment_id_invalid"}),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One thing to import. `content` is None where Salesforce has no such attachment, whose id is `record_id`."""

    name: str
    content: bytes | None
    record_id: str | None = None


def draw(seed: int, number: int) -> Picture:
    """Return the picture of a number: hostile once in ten, with the kinds in turn."""
    chance = random.Random(f"{seed}/{number}")
    if number % EVERY != EVERY - 1:
        format_, suffix = chance.choice(_FORMATS)
        return Picture(f"good-{number:05}.{suffix}", _good(chance, format_))
    kind = tuple(CODES)[number // EVERY % len(CODES)]
    name = f"{kind}-{number:05}.jpg"
    if kind == "missing":
        return Picture(name, None, made_id("00P", f"nowhere/{seed}/{name}"))
    if kind == "impossible":
        return Picture(name, None, "00PimpossibleAAA")
    return Picture(name, _hostile(kind, chance))


def end_of(name: str) -> str:
    """Return the status in which the import of a picture must end."""
    return "succeeded" if name.startswith("good-") else "failed"


def codes_of(name: str) -> frozenset[str]:
    """Return the error codes with which the import of a picture may end; none for a good one."""
    return CODES.get(name.partition("-")[0], frozenset())


def _good(chance: random.Random, format_: str) -> bytes:
    coarse = Image.frombytes("RGB", (8, 6), chance.randbytes(8 * 6 * 3))
    size = (chance.randrange(200, 400), chance.randrange(150, 300))
    out = io.BytesIO()
    coarse.resize(size, Image.Resampling.BILINEAR).save(out, format_)
    return out.getvalue()


def _hostile(kind: str, chance: random.Random) -> bytes:
    mark = chance.randbytes(8)  # no two alike
    if kind == "text":
        return b"These are words and no picture: " + mark.hex().encode()
    if kind == "bomb":
        header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
        body = _chunk(b"IHDR", header) + _chunk(b"tEXt", b"mark\0" + mark.hex().encode())
        return (
            b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")
        )
    if kind == "truncated":
        whole = _good(chance, "JPEG")
        return whole[: len(whole) // 2]
    damaged = bytearray(_good(chance, "PNG"))
    begin = damaged.index(b"IDAT") + 4
    damaged[begin + 2 : begin + 10] = mark  # the stream's first bytes, so that nothing of it can be read
    return bytes(damaged)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

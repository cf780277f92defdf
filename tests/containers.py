"""Write picture files that Pillow cannot write: AVIF and HEIC with other boxes, PNG of sixteen bits in colour."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from PIL import Image

_PLANES = 0x011C  # a tag that nobody heeds
Rewrite = Callable[[bytes, bytes], bytes]


def box(kind: bytes, body: bytes) -> bytes:
    """Return a box."""
    return struct.pack(">I4s", 8 + len(body), kind) + body


def deep_png(size: tuple[int, int], samples: bytes, *, channels: int, cicp: bytes) -> bytes:
    """Return a PNG of sixteen bits: `samples` are big-endian and row by row, three or four channels."""
    wide = size[0] * 2 * channels
    rows = b"".join(b"\0" + samples[at : at + wide] for at in range(0, len(samples), wide))
    kind = {3: 2, 4: 6}[channels]
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", *size, 16, kind, 0, 0, 0)),
        (b"cICP", cicp),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def with_cicp(data: bytes, primaries: int, transfer: int) -> bytes:
    """Return a file that says these primaries and this curve of the very same pixels."""
    if data.startswith(b"\x89PNG"):
        chunk = b"cICP" + bytes((primaries, transfer, 0, 1))
        return data[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    if data[4:6] == b"jP":
        return with_jp2_colour(data, 5, struct.pack(">HHHB", primaries, transfer, 0, 0x80))
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def with_jp2_colour(data: bytes, kind: int, body: bytes) -> bytes:
    """Return a JP2 whose colour is told in another way."""
    at, start = data.index(b"colr") - 4, data.index(b"jp2h") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    colr = box(b"colr", bytes((kind, 0, 0)) + body)
    length = int.from_bytes(data[start : start + 4], "big") + len(colr) - size
    return data[:start] + length.to_bytes(4, "big") + data[start + 4 : at] + colr + data[at + size :]


def turned_by_tag_only(save: Callable[[bytes], bytes], tag: int) -> bytes:
    """Return what `save` writes with an EXIF that holds an orientation, which its encoder never saw.

    Encoders write an orientation into the container, so another tag is written and renamed afterwards.
    """
    exif = Image.Exif()
    exif[_PLANES] = 1
    data = save(exif.tobytes())
    for order in "<>":
        written = struct.pack(order + "HHIH", _PLANES, 3, 1, 1)
        if data.count(written) == 1:
            return data.replace(written, struct.pack(order + "HHIH", 0x0112, 3, 1, tag))
    raise AssertionError("no EXIF was written")


def with_properties(data: bytes, *properties: bytes, item: int = 1) -> bytes:
    """Return a file with more properties of one item, essential and in this order."""
    count = len(_children(_ipco(data)))

    def rewrite(kind: bytes, body: bytes) -> bytes:
        if kind == b"ipco":
            return body + b"".join(properties)
        if kind == b"ipma":
            return _associated(body, item, [count + 1 + at for at in range(len(properties))])
        return body

    return rewritten(data, rewrite)


def without_property(data: bytes, item: int, kind: bytes) -> bytes:
    """Return a file in which an item is no longer associated with its property of one kind."""
    found = [name for name, _ in _children(_ipco(data))]

    def rewrite(name: bytes, body: bytes) -> bytes:
        return _dissociated(body, item, found, kind) if name == b"ipma" else body

    return rewritten(data, rewrite)


def rewritten(data: bytes, rewrite: Rewrite) -> bytes:
    """Return a file whose `meta` has other content. It goes to the end, so that no pixel data moves."""
    at = data.index(b"meta") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    meta = _rewritten(data[at + 12 : at + size], rewrite)
    return data[: at + 4] + b"free" + data[at + 8 :] + box(b"meta", data[at + 8 : at + 12] + meta)


def clap(width: int, height: int, across: float = 0, down: float = 0) -> bytes:
    """Return a clean aperture; the offsets are those of its middle from the picture's, in halves of a pixel."""
    numbers = (width, 1, height, 1, round(2 * across), 2, round(2 * down), 2)
    return box(b"clap", struct.pack(">IIIIiIiI", *numbers))


def irot(quarters: int) -> bytes:
    """Return a turn against the clock."""
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    """Return a mirroring: 0 turns top and bottom around, 1 left and right."""
    return box(b"imir", bytes([axis]))


def _rewritten(body: bytes, rewrite: Rewrite) -> bytes:
    out = b""
    for kind, inside in _children(body):
        inner = _rewritten(inside, rewrite) if kind == b"iprp" else inside
        out += box(kind, rewrite(kind, inner))
    return out


def _children(body: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at < len(body):
        size, kind = struct.unpack_from(">I4s", body, at)
        found.append((kind, body[at + 8 : at + size]))
        at += size
    return found


def _ipco(data: bytes) -> bytes:
    at = data.index(b"ipco") - 4
    return data[at + 8 : at + int.from_bytes(data[at : at + 4], "big")]


def _associated(ipma: bytes, item: int, numbers: list[int]) -> bytes:
    out = ipma[:8]
    for each, own in _entries(ipma):
        more = [0x80 | number for number in numbers] if each == item else []
        out += struct.pack(">HB", each, len(own + more)) + bytes(own + more)
    return out


def _dissociated(ipma: bytes, item: int, kinds: list[bytes], kind: bytes) -> bytes:
    out = ipma[:8]
    for each, own in _entries(ipma):
        kept = [number for number in own if each != item or kinds[(number & 0x7F) - 1] != kind]
        out += struct.pack(">HB", each, len(kept)) + bytes(kept)
    return out


def _entries(ipma: bytes) -> list[tuple[int, list[int]]]:
    assert ipma[:4] == bytes(4), "one byte a property, two an item"
    found, at = [], 8
    for _ in range(int.from_bytes(ipma[4:8], "big")):
        item, count = struct.unpack_from(">HB", ipma, at)
        found.append((item, list(ipma[at + 3 : at + 3 + count])))
        at += 3 + count
    return found

"""Weigh what a file holds besides its pixels, before anybody reads it.

Profiles, thumbnails, depth maps and descriptions of real pictures reach a few megabytes. More is an attack:
a TIFF of one megabyte may name that megabyte as the value of each of its sixty-five thousand tags, and a
comment in a GIF is put together from pieces of 255 bytes, each time anew.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_TIFF_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)


def baggage_bytes(data: bytes, kind: str) -> int:
    """Return how many bytes of metadata would be read from a file; 0 for a kind that is not weighed here.

    A file that is damaged is weighed as far as it can be read: its decoder will say what is wrong with it.
    """
    weigh = _SCALES.get(kind)
    if weigh is None:
        return 0
    try:
        return sum(weigh(data))
    except (IndexError, struct.error):
        return 0


def _jpeg(data: bytes) -> Iterator[int]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            return
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            yield min(size, len(data) - at)
        at += 2 + max(2, size)


def _png(data: bytes) -> Iterator[int]:
    at = 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in (b"IDAT", b"fdAT"):
            yield min(size, len(data) - at)
        at += 12 + size


def _webp(data: bytes) -> Iterator[int]:
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] in (b"ICCP", b"EXIF", b"XMP "):
            yield min(size, len(data) - at)
        at += 8 + size + size % 2


def _gif(data: bytes) -> Iterator[int]:
    at = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while data[at] == 0x21:
        at += 2
        while data[at]:
            yield data[at]
            at += 1 + data[at]
        at += 1


def _tiff(data: bytes) -> Iterator[int]:
    order = "<" if data[:2] == b"II" else ">"
    if 43 in data[2:4]:
        (start,) = struct.unpack_from(order + "Q", data, 8)
        (entries,) = struct.unpack_from(order + "Q", data, start)
        entry, first = order + "HHQ", start + 8
    else:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (entries,) = struct.unpack_from(order + "H", data, start)
        entry, first = order + "HHI", start + 2
    step = 20 if entry.endswith("Q") else 12
    for number in range(min(entries, 65_535)):
        _, kind, count = struct.unpack_from(entry, data, first + step * number)
        yield min(len(data), count * (_TIFF_SIZES[kind] if kind < len(_TIFF_SIZES) else 1))


_SCALES: dict[str, Callable[[bytes], Iterator[int]]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WebP": _webp,
    "GIF": _gif,
    "TIFF": _tiff,
}

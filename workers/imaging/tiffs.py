"""Look into the directories of a TIFF where Pillow does not look, or looks wrongly. Bounded, and never raises.

Layouts: TIFF 6.0, the BigTIFF design of libtiff, and TIFF/EP with DNG for raw camera files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SIGNED = {9: "i", 17: "q"}
_MOST_DIRECTORIES, _MOST_ENTRIES, _MOST_VALUES = 64, 4096, 1_000_000
_UNREADABLE = (struct.error, OverflowError)
_BITS, _COMPRESSION, _PHOTOMETRIC, _PLANAR, _SUB_IFDS, _FORMAT, _DNG = 258, 259, 262, 284, 330, 339, 50706
_SENSOR = frozenset({32803, 34892})  # a colour filter array, and linear values of one
_OF_CAMERAS = frozenset(
    {34713, 32767, 32769, 32770, 65000, 65535}
)  # compressions of Nikon, Sony, Epson, Samsung, …
_KINDS_OF_SAMPLES = {1: "", 2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex floating-point "}


@dataclass(slots=True)
class Directory:
    """The numbers of one directory by tag; texts and fractions are left out."""

    values: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def first(self, tag: int, default: int) -> int:
        """Return the first value of a tag."""
        return self.values.get(tag, (default,))[0]


def is_raw(data: bytes) -> bool:
    """Tell whether a TIFF is what a camera's sensor saw: a preview, or nothing, stands in its first directory."""
    if data[8:10] == b"CR" or data[8:12] == b"IIII":  # Canon's and Phase One's say so behind the header
        return True
    return any(
        _DNG in one.values
        or one.first(_PHOTOMETRIC, -1) in _SENSOR
        or one.first(_COMPRESSION, -1) in _OF_CAMERAS
        for one in directories(data)
    )


def is_planar(data: bytes) -> bool:
    """Tell whether the first picture's colours stand one after the other, and not side by side."""
    first = next(directories(data), Directory())
    return first.first(_PLANAR, 1) == 2


def samples(data: bytes) -> str | None:
    """Say for people what a TIFF's samples are, as in `floating-point samples of 32 bits`; None for no TIFF."""
    first = next(directories(data), Directory())
    if _BITS not in first.values:
        return None
    kind = _KINDS_OF_SAMPLES.get(first.first(_FORMAT, 1), "unusual ")
    return f"{kind}samples of {max(first.values[_BITS])} bits"


def directories(data: bytes) -> Iterator[Directory]:
    """Walk a TIFF's directories, each followed by those below it; ends where nothing can be read."""
    try:
        order = {b"II": "<", b"MM": ">"}[data[:2]]
        big = struct.unpack_from(order + "H", data, 2)[0] == 43
        waiting = [struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]]
    except (KeyError, *_UNREADABLE):
        return
    seen: set[int] = set()
    budget = [_MOST_VALUES]  # of the whole walk: entries may all name the same bytes
    while waiting and len(seen) < _MOST_DIRECTORIES:
        at = waiting.pop()
        if at == 0 or at in seen:
            continue
        seen.add(at)
        try:
            one, following = _directory(data, at, order, budget, big=big)
        except _UNREADABLE:
            continue
        yield one
        waiting += [following, *reversed(one.values.get(_SUB_IFDS, ())[:_MOST_DIRECTORIES])]


def _directory(data: bytes, at: int, order: str, budget: list[int], *, big: bool) -> tuple[Directory, int]:
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    count, at = min(count, _MOST_ENTRIES), at + (8 if big else 2)
    head, room = (order + "HHQ", 8) if big else (order + "HHI", 4)
    step = struct.calcsize(head) + room
    one = Directory()
    for entry in range(at, at + count * step, step):
        tag, kind, amount = struct.unpack_from(head, data, entry)
        if kind not in _NUMBERS or not 0 < amount <= budget[0]:
            continue
        budget[0] -= amount
        place = entry + step - room
        if amount * _SIZES[kind] > room:
            (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
        try:
            one.values[tag] = struct.unpack_from(f"{order}{amount}{_NUMBERS[kind]}", data, place)
        except _UNREADABLE:
            continue
    (following,) = struct.unpack_from(order + ("Q" if big else "I"), data, at + count * step)
    return one, following


def classic(data: bytes) -> bytes | None:
    """Return a big-endian BigTIFF, which Pillow takes for damaged, as a TIFF of 4 GB at most; None where it is none.

    The first directory is written anew at the end; all that it points at stays where it is.
    """
    if not data.startswith(b"MM\x00+") or len(data) >= 2**32:
        return None
    try:
        return _classic(data)
    except _UNREADABLE:
        return None


def _classic(data: bytes) -> bytes:
    (at,) = struct.unpack_from(">Q", data, 8)
    (count,) = struct.unpack_from(">Q", data, at)
    if count > _MOST_ENTRIES:
        raise struct.error("too many entries")
    entries: list[bytes] = []
    behind = bytearray()
    start = len(data) + len(data) % 2
    length = 2 + 12 * count + 4
    for entry in range(at + 8, at + 8 + count * 20, 20):
        tag, kind, amount = struct.unpack_from(">HHQ", data, entry)
        size = _SIZES.get(kind, 1) * amount
        place = entry + 12 if size <= 8 else struct.unpack_from(">Q", data, entry + 12)[0]
        value = data[place : place + size]
        if kind in (16, 17, 18):  # numbers of eight bytes, which a TIFF does not know
            letters = _NUMBERS | _SIGNED
            numbers = struct.unpack(f">{amount}{letters[kind]}", value)
            kind = 9 if min(numbers, default=0) < 0 else 4
            value = struct.pack(f">{amount}{letters[kind]}", *numbers)
        if len(value) > 4:
            here = start + length + len(behind)
            behind += value + b"\0" * (len(value) % 2)
            if len(behind) > len(data):
                raise struct.error("entries that name the same bytes again and again")
            value = struct.pack(">I", here)
        entries.append(struct.pack(">HHI", tag, kind, amount) + value.ljust(4, b"\0"))
    directory = struct.pack(">H", count) + b"".join(entries) + struct.pack(">I", 0)
    return b"".join(
        [b"MM\x00*", struct.pack(">I", start), data[8:], b"\0" * (len(data) % 2), directory, behind]
    )

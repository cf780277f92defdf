"""Read from an AVIF or HEIF container what its decoders do not say: colour, turn and clean aperture.

Pillow's AVIF plugin crops nothing and tells no colour but a profile; the HEIF plugin does not tell whether the
container or only the EXIF tag turns the picture. So the properties of the primary picture are read here. No
box is followed out of its parent, and nothing is read of more than a bounded number of boxes and items.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from workers.imaging.cicp import Cicp

_MOST = 4096  # boxes in one parent, and items in one file; a picture of 100 megapixels has some 400 tiles
_MOST_BYTES = (
    2**19
)  # of lists of items and of what belongs to them: read byte by byte, they would cost seconds
_MOST_TRACKS = 8
Rectangle = tuple[int, int, int, int]


class Box(NamedTuple):
    """One box: its type, where it begins, where its content begins, and where it ends."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Container:
    """What the container says of its primary picture."""

    cicp: Cicp | None = None
    matrix_at: int | None = None  # where the file says how its planes become red, green and blue: two bytes
    is_turned: bool = False
    aperture: tuple[int, ...] | None = (
        None  # numerators and denominators of width, height and the two offsets
    )

    def crop(self, size: tuple[int, int]) -> Rectangle | None:
        """Return the clean aperture of a picture as a box to crop to; None where there is none or it is absurd."""
        if self.aperture is None or not all(self.aperture[1::2]):
            return None
        left, right = _span(size[0], *self.aperture[0:2], *self.aperture[4:6])
        top, bottom = _span(size[1], *self.aperture[2:4], *self.aperture[6:8])
        if left >= right or top >= bottom or (left, top, right, bottom) == (0, 0, *size):
            return None
        return left, top, right, bottom


@dataclass(slots=True)
class Meta:
    """The items of a `meta` box as far as a still picture needs them; positions point into the file."""

    box: Box
    children: dict[bytes, Box] = field(default_factory=dict)
    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)
    properties: list[Box] = field(default_factory=list)
    associations: dict[int, list[int]] = field(default_factory=dict)  # 1-based, the top bit says essential

    def properties_of(self, item: int) -> list[Box]:
        """Return the properties of an item, in the order in which they apply."""
        numbers = (number & 0x7FFF for number in self.associations.get(item, ()))
        return [self.properties[number - 1] for number in numbers if 0 < number <= len(self.properties)]

    def sources_of(self, item: int) -> tuple[int, ...]:
        """Return the items that an item is put together from."""
        return next((to for kind, of, to in self.references if kind == b"dimg" and of == item), ())


def container_of(data: bytes) -> Container:
    """Read what the container says. One that is damaged says nothing: its decoder will judge it."""
    try:
        track = _track_properties(data) if data[8:12] == b"avis" else None
        if track is not None:
            return _container(data, track, track)
        meta = meta_of(data)
        if meta is None:
            return Container()
        own = meta.properties_of(meta.primary)
        sources = meta.sources_of(meta.primary)
        # A grid may leave it to its tiles to say what their colours mean.
        has_colour = any(box.kind == b"colr" for box in own)
        return _container(data, own, own if has_colour or not sources else meta.properties_of(sources[0]))
    except (struct.error, IndexError, ValueError):
        return Container()


def meta_of(data: bytes) -> Meta | None:
    """Read the items of a file. Raises struct.error, IndexError or ValueError for one that is damaged."""
    box = next((box for box in boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if box is None:
        return None
    meta = Meta(box, {child.kind: child for child in boxes(data, box.body + 4, box.end)})
    pitm = meta.children.get(b"pitm")
    if pitm is None:
        return None
    _weigh(child for kind, child in meta.children.items() if kind in (b"iinf", b"iref"))
    meta.primary = _number(data, pitm.body + 4, 4 if data[pitm.body] else 2)
    meta.kinds = dict(_kinds(data, meta.children.get(b"iinf")))
    meta.references = list(_references(data, meta.children.get(b"iref")))
    properties = list(boxes(data, *_inside(meta.children.get(b"iprp"))))
    _weigh(child for child in properties if child.kind == b"ipma")
    for child in properties:
        if child.kind == b"ipco":
            meta.properties = list(boxes(data, child.body, child.end))
        elif child.kind == b"ipma":
            for item, numbers in _associations(data, child):
                meta.associations.setdefault(item, []).extend(numbers)
    return meta


def _weigh(lists: Iterable[Box]) -> None:
    if sum(each.end - each.start for each in lists) > _MOST_BYTES:
        raise ValueError("far more than a picture has")


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Walk the boxes between two places, as far as they are whole."""
    for _ in range(_MOST):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            body = start + 16
        last = end if size == 0 else start + size
        if not body <= last <= end:
            return
        yield Box(kind, start, body, last)
        start = last


def _container(data: bytes, own: list[Box], colours: list[Box]) -> Container:
    kinds = [box.kind for box in own]
    aperture = next((box.body for box in own if box.kind == b"clap" and box.end - box.body == 32), None)
    nclx = next((box.body + 4 for box in colours if data[box.body : box.end].startswith(b"nclx")), None)
    return Container(
        cicp=None if nclx is None else Cicp(*struct.unpack_from(">HH", data, nclx)),
        matrix_at=None if nclx is None else nclx + 4,
        is_turned=b"irot" in kinds or b"imir" in kinds,
        aperture=None if aperture is None else struct.unpack_from(">IIIIiIiI", data, aperture),
    )


def _span(length: int, size: int, by: int, offset: int, offset_by: int) -> tuple[int, int]:
    """Return first and last of the pixels that are kept of `length`; the offset is that of the two middles."""
    # In halves, so that whole numbers stay whole: first = offset + (length - 1) / 2 - (size - 1) / 2.
    first = (2 * offset * by + (length * by - size) * offset_by) // (2 * by * offset_by)
    return max(0, first), min(length, first + size // by)


def _track_properties(data: bytes) -> list[Box] | None:
    """Return what the first video track of an animation says of its frames, or None where there is none."""
    moov = next((box for box in boxes(data, 0, len(data)) if box.kind == b"moov"), None)
    tracks = (box for box in boxes(data, *_inside(moov)) if box.kind == b"trak")
    for track in itertools.islice(tracks, _MOST_TRACKS):
        entry: Box | None = track
        for kind in (b"mdia", b"minf", b"stbl", b"stsd"):
            entry = next((box for box in boxes(data, *_inside(entry)) if box.kind == kind), None)
        if entry is None:
            continue
        for sample in boxes(data, entry.body + 8, entry.end):
            if sample.kind == b"av01":
                return list(boxes(data, sample.body + 78, sample.end))
    return None


def _kinds(data: bytes, iinf: Box | None) -> Iterator[tuple[int, bytes]]:
    if iinf is not None:
        for entry in boxes(data, iinf.body + (8 if data[iinf.body] else 6), iinf.end):
            wide = 4 if data[entry.body] >= 3 else 2
            item = _number(data, entry.body + 4, wide)
            yield item, data[entry.body + 6 + wide : entry.body + 10 + wide]


def _references(data: bytes, iref: Box | None) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    if iref is not None:
        wide = 4 if data[iref.body] else 2
        for box in boxes(data, iref.body + 4, iref.end):
            count = _number(data, box.body + wide, 2)
            first = box.body + wide + 2
            if first + count * wide > box.end:
                return
            to = tuple(_number(data, first + wide * at, wide) for at in range(count))
            yield box.kind, _number(data, box.body, wide), to


def _associations(data: bytes, ipma: Box) -> Iterator[tuple[int, list[int]]]:
    version, wide_numbers = data[ipma.body], data[ipma.body + 3] & 1
    (entries,) = struct.unpack_from(">I", data, ipma.body + 4)
    at = ipma.body + 8
    for _ in range(min(entries, _MOST)):
        wide = 4 if version else 2
        item, count = _number(data, at, wide), data[at + wide]
        at += wide + 1
        numbers = []
        for _ in range(count):
            number = _number(data, at, 2 if wide_numbers else 1)
            numbers.append(number if wide_numbers else (number & 0x80) << 8 | number & 0x7F)
            at += 2 if wide_numbers else 1
        if at > ipma.end:
            return
        yield item, numbers


def _inside(box: Box | None) -> tuple[int, int]:
    return (0, 0) if box is None else (box.body, box.end)


def _number(data: bytes, at: int, size: int) -> int:
    found = data[at : at + size]
    if len(found) < size:
        raise IndexError("beyond the end")
    return int.from_bytes(found, "big")

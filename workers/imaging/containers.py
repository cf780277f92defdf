"""Write the container of an AVIF or HEIC anew for a decoder that refuses it, around the very same pixels.

Decoders are strict about what they do not need. What is left is the primary picture with its tiles and its
transparency, each with the properties that pixels depend on: no metadata, no groups, no previews. An alpha
plane without a size has that of its picture (an encoder in wide use left it out for years), and numbers of
colour that nobody knows are left unspecified. Nothing moves: the new `meta` stands at the end of the file,
and the old one is made free space.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from workers.imaging.isobmff import Box, Meta, meta_of

_KEPT = (b"hdlr", b"pitm", b"iloc", b"idat")
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_NEEDED = frozenset(
    (
        b"ispe",
        b"pixi",
        b"colr",
        b"av1C",
        b"hvcC",
        b"auxC",
        b"irot",
        b"imir",
        b"clap",
        b"a1lx",
        b"a1op",
        b"lsel",
    )
)
_PRIMARIES = frozenset((1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22))
_TRANSFERS = frozenset((1, 2, *range(4, 19)))


def simplified(data: bytes) -> bytes | None:
    """Return the file with a container that holds its primary picture only; None where it has none to be found."""
    try:
        meta = meta_of(data)
        if meta is None or meta.primary not in meta.kinds:
            return None
        return _with_meta(data, meta)
    except (struct.error, IndexError, ValueError):
        return None


def _with_meta(data: bytes, meta: Meta) -> bytes:
    kept = _pixels_of(data, meta)
    body = [data[meta.box.body : meta.box.body + 4]]
    for kind in _KEPT:
        if (child := meta.children.get(kind)) is not None:
            body.append(data[child.start : child.end])
    body += [_iinf(meta, kept), _iref(meta, kept), _iprp(data, meta, kept)]
    start = meta.box.start + 4
    return data[:start] + b"free" + data[start + 4 :] + _box(b"meta", *body)


def _pixels_of(data: bytes, meta: Meta) -> list[int]:
    """Return the items that pixels come from: the primary one, what it is put together from, their alpha planes."""
    kept = [meta.primary, *meta.sources_of(meta.primary)]
    shown = set(kept)
    for kind, of, to in meta.references:
        if kind == b"auxl" and shown & set(to) and _is_alpha(data, meta.properties_of(of)):
            kept += [of, *meta.sources_of(of)]
    return list(dict.fromkeys(kept))


def _is_alpha(data: bytes, properties: Iterable[Box]) -> bool:
    named = (data[box.body + 4 : box.end] for box in properties if box.kind == b"auxC")
    return any(name.startswith(_ALPHA) for name in named)


def _iinf(meta: Meta, kept: list[int]) -> bytes:
    entries = [
        _box(b"infe", struct.pack(">IIH4sB", 0x03000000, item, 0, meta.kinds[item], 0))
        if item > 0xFFFF
        else _box(b"infe", struct.pack(">IHH4sB", 0x02000000, item, 0, meta.kinds[item], 0))
        for item in kept
        if item in meta.kinds
    ]
    return _box(b"iinf", struct.pack(">IH", 0, len(entries)), *entries)


def _iref(meta: Meta, kept: list[int]) -> bytes:
    wanted = [
        (kind, of, to)
        for kind, of, to in meta.references
        if kind in (b"dimg", b"auxl", b"prem") and of in kept and set(to) <= set(kept)
    ]
    if not wanted:
        return b""
    rows = [_box(kind, struct.pack(f">IH{len(to)}I", of, len(to), *to)) for kind, of, to in wanted]
    return _box(b"iref", struct.pack(">I", 0x01000000), *rows)


def _iprp(data: bytes, meta: Meta, kept: list[int]) -> bytes:
    properties = b"".join(_property(data, box) for box in meta.properties)
    rows = []
    for item in kept:
        numbers = [
            number
            for number in meta.associations.get(item, ())
            if 0 < (at := number & 0x7FFF) <= len(meta.properties) and meta.properties[at - 1].kind in _NEEDED
        ]
        if not any(meta.properties[(number & 0x7FFF) - 1].kind == b"ispe" for number in numbers):
            numbers = _size_of_picture(meta) + numbers
        rows.append(struct.pack(f">IB{len(numbers)}H", item, len(numbers), *numbers))
    associations = _box(b"ipma", struct.pack(">II", 0x01000001, len(rows)), *rows)
    return _box(b"iprp", _box(b"ipco", properties), associations)


def _size_of_picture(meta: Meta) -> list[int]:
    numbers = (number & 0x7FFF for number in meta.associations.get(meta.primary, ()))
    return [
        at for at in numbers if 0 < at <= len(meta.properties) and meta.properties[at - 1].kind == b"ispe"
    ][:1]


def _property(data: bytes, box: Box) -> bytes:
    body = data[box.body : box.end]
    if box.kind == b"colr" and body[:4] == b"nclx" and len(body) >= 11:
        primaries, transfer = struct.unpack_from(">HH", body, 4)
        known = (primaries if primaries in _PRIMARIES else 2, transfer if transfer in _TRANSFERS else 2)
        body = body[:4] + struct.pack(">HH", *known) + body[8:]
    return _box(box.kind, body)


def _box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)

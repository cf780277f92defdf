"""TIFFs come out as they are meant, or are refused for what they are: never garbled, never black, never a preview."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence

import pytest

from tests.unit.workers.pictures import seen
from workers.failures import Permanent
from workers.imaging.limits import Limits
from workers.imaging.reading import prepare, read
from workers.imaging.tiffs import classic, directories, is_raw
from workers.imaging.variants import Spec

WIDTH, HEIGHT, ROWS = 16, 12, 5
COLOURS = [
    [(x * 15) % 256 for _ in range(HEIGHT) for x in range(WIDTH)],
    [(y * 20) % 256 for y in range(HEIGHT) for _ in range(WIDTH)],
    [((x + y) * 9) % 256 for y in range(HEIGHT) for x in range(WIDTH)],
]
PACKED: dict[int, Callable[[bytes], bytes]] = {
    1: bytes,
    8: zlib.compress,
    32773: lambda strip: b"".join(
        bytes([len(strip[at : at + 128]) - 1]) + strip[at : at + 128] for at in range(0, len(strip), 128)
    ),
}


def tiff(
    planes: Sequence[Sequence[float]],
    *,
    bits: int = 8,
    order: str = "<",
    planar: bool = False,
    compression: int = 1,
    kind: int = 1,
    big: bool = False,
    offset: int | None = None,
    more: Sequence[tuple[int, int, list[int]]] = (),
    photometric: int | None = None,
) -> bytes:
    """Write a TIFF of strips by hand, as no library here does in all these layouts."""
    letter = {(8, 1): "B", (16, 1): "H", (32, 1): "I", (32, 3): "f", (64, 3): "d"}[bits, kind]

    def strip(values: Sequence[float]) -> bytes:
        return PACKED[compression](struct.pack(f"{order}{len(values)}{letter}", *values))

    rows = [slice(y * WIDTH, min(HEIGHT, y + ROWS) * WIDTH) for y in range(0, HEIGHT, ROWS)]
    if planar:
        strips = [strip(plane[some]) for plane in planes for some in rows]
    else:
        strips = [strip([value for each in zip(*(plane[some] for plane in planes), strict=True) for value in each]) for some in rows]  # fmt: skip
    amount, start = len(planes), 16 if big else 8
    offsets = [start + sum(map(len, strips[:place])) for place in range(len(strips))]
    body = b"".join(strips) + b"\0" * (sum(map(len, strips)) % 2)
    tags = [
        (256, 3, [WIDTH]),
        (257, 3, [HEIGHT]),
        (258, 3, [bits] * amount),
        (259, 3, [compression]),
        (262, 3, [photometric if photometric is not None else 2 if amount > 1 else 1]),
        (273, offset or (16 if big else 4), offsets),
        (277, 3, [amount]),
        (278, 4, [ROWS]),
        (279, 4, [len(each) for each in strips]),
        (284, 3, [2 if planar else 1]),
        (339, 3, [kind] * amount),
        *more,
    ]
    at, word, room = start + len(body), "Q" if big else "I", 8 if big else 4
    entries, behind = b"", b""
    end = at + (8 if big else 2) + len(tags) * (20 if big else 12) + room
    for tag, type_, values in sorted(tags):
        data = struct.pack(order + {1: "B", 3: "H", 4: "I", 16: "Q", 17: "q"}[type_] * len(values), *values)
        if len(data) > room:
            place, behind = end + len(behind), behind + data + b"\0" * (len(data) % 2)
            data = struct.pack(order + word, place)
        entries += struct.pack(f"{order}HH{word}", tag, type_, len(values)) + data.ljust(room, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = mark + (struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI", 42, at))
    return head + body + struct.pack(order + ("Q" if big else "H"), len(tags)) + entries + struct.pack(order + word, 0) + behind  # fmt: skip


def pixels(data: bytes) -> list[tuple[int, ...]]:
    """Return the pixels that the product decodes, as RGB."""
    prepare()
    with read(data, specs=(Spec(name="large", width=1280, height=1280),), limits=Limits()) as source:
        return list(source.picture.convert("RGB").getdata())


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planar"])
@pytest.mark.parametrize("alpha", [False, True], ids=["RGB", "RGBA"])
def test_planes_and_pixels_come_out_alike(
    planar: bool, bits: int, compression: int, order: str, alpha: bool
) -> None:
    """Whether colours stand side by side or one after the other, in either order of bytes, packed or not."""
    scale = 257 if bits == 16 else 1
    planes = [[value * scale for value in plane] for plane in COLOURS]
    if alpha:
        planes.append([255 * scale] * len(COLOURS[0]))
    more = [(338, 3, [2])] if alpha else []
    data = tiff(planes, bits=bits, order=order, planar=planar, compression=compression, more=more)
    assert pixels(data) == list(zip(*COLOURS, strict=True))


@pytest.mark.parametrize(("bits", "kind"), [(32, 1), (32, 3), (64, 3)])
@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planar"])
def test_rare_samples_are_refused_as_what_they_are(bits: int, kind: int, planar: bool) -> None:
    """Samples that no viewer of photographs shows are not called damaged."""
    planes = [[value / 255 if kind == 3 else value for value in plane] for plane in COLOURS]
    with pytest.raises(Permanent, match=f"samples of {bits} bits") as caught:
        seen(tiff(planes, bits=bits, kind=kind, planar=planar))
    assert caught.value.code == "image_unsupported"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planar"])
def test_a_bigtiff_is_read_in_either_order(order: str, bits: int, planar: bool) -> None:
    """The order of a BigTIFF's bytes makes it no damaged file."""
    planes = [[value * (257 if bits == 16 else 1) for value in plane] for plane in COLOURS]
    assert pixels(tiff(planes, bits=bits, order=order, big=True, planar=planar)) == list(
        zip(*COLOURS, strict=True)
    )


@pytest.mark.parametrize("offset", [4, 16, 17])
def test_a_big_endian_bigtiff_may_write_its_numbers_in_any_way(offset: int) -> None:
    """Four bytes, eight, or eight with a sign: it is where its pixels are that counts."""
    assert pixels(tiff(COLOURS, order=">", big=True, offset=offset)) == list(zip(*COLOURS, strict=True))


def test_a_number_below_zero_in_a_bigtiff_spoils_no_picture() -> None:
    """What some other tag says with a sign stays what it is."""
    data = tiff(COLOURS, order=">", big=True, more=[(65_000, 17, [-1, 2])])
    assert pixels(data) == list(zip(*COLOURS, strict=True))


@pytest.mark.parametrize("order", "<>")
def test_a_colour_map_of_eight_bits_is_not_black(order: str) -> None:
    """Scanners write values up to 255 where 65,535 belong; a map that uses more is read as it should be."""
    indices = [(x + y) % 4 for y in range(HEIGHT) for x in range(WIDTH)]
    colours = [(0, 0, 0), (200, 60, 50), (10, 220, 30), (255, 255, 255)]
    for scale in (1, 257):
        table = [[colour[channel] * scale for colour in colours] + [0] * 252 for channel in range(3)]
        more = [(320, 3, [value for channel in table for value in channel])]
        data = tiff([indices], order=order, more=more, photometric=3)
        assert pixels(data) == [colours[index] for index in indices]


RAW_TAGS = [(50706, 1, 1), (259, 3, 34713), (259, 3, 32767), (262, 3, 32803), (262, 3, 34892)]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("tag", "kind", "value"), RAW_TAGS, ids=["DNG", "Nikon", "Sony", "a sensor's filter", "a sensor's values"]
)
def test_a_raw_file_is_one_behind_a_preview(order: str, tag: int, kind: int, value: int) -> None:
    """What stands in a directory below that of a preview makes it one; a preview alone does not."""
    letter = "B" if kind == 1 else "H"
    below = struct.pack(order + "HHHI" + letter, 1, tag, kind, 1, value).ljust(14, b"\0") + bytes(4)
    preview = tiff(COLOURS, order=order, more=[(330, 4, [0])])
    at = preview.index(struct.pack(order + "HHI", 330, 4, 1)) + 8
    whole = preview[:at] + struct.pack(order + "I", len(preview)) + preview[at + 4 :] + below
    assert not is_raw(preview)
    with pytest.raises(Permanent, match="a raw camera file") as caught:
        seen(whole)
    assert caught.value.code == "image_unsupported"


@pytest.mark.parametrize("photometric", [32803, 34892])
def test_a_raw_file_is_one_by_its_first_directory(photometric: int) -> None:
    """Without a preview as well."""
    with pytest.raises(Permanent, match="a raw camera file"):
        seen(tiff(COLOURS[:1], photometric=photometric))


@pytest.mark.parametrize("head", [b"II*\0\x10\0\0\0CR\x02\0", b"MM\0*\0\0\0\x08IIII"], ids=["CR2", "IIQ"])
def test_a_raw_file_is_one_by_its_head(head: bytes) -> None:
    """Some makers say so behind the header of the TIFF."""
    with pytest.raises(Permanent, match="a raw camera file"):
        seen(head + bytes(200))


@pytest.mark.parametrize(
    "data", [b"", b"II*\0", b"MM\0+\0\x08\0\0" + b"\xff" * 40, b"II*\0\x08\0\0\0\xff\xff" + b"\xff" * 90]
)
def test_nonsense_ends_the_walk(data: bytes) -> None:
    """Directories that cannot be read, or lead in a circle, end it without a failure."""
    assert len(list(directories(data))) <= 64
    assert classic(data) is None or isinstance(classic(data), bytes)


def test_a_circle_of_directories_ends() -> None:
    """A directory that follows itself is read once."""
    data = tiff(COLOURS)
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    end = at + 2 + 12 * count
    looped = data[:end] + struct.pack("<I", at) + data[end + 4 :]
    assert len(list(directories(looped))) == 1

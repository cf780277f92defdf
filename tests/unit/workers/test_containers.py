"""An AVIF or HEIC whose pixels are whole is shown, whatever its decoder finds wrong with the box around them."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from PIL import Image

from tests.containers import box, clap, irot, with_cicp, with_properties, without_property
from tests.unit.workers.pictures import colour, near, quadrants, saved, seen, stands_upright
from workers.failures import Permanent
from workers.imaging.containers import simplified
from workers.imaging.isobmff import Container, container_of

FORMATS = pytest.mark.parametrize("format_", ["AVIF", "HEIF"])


def half_transparent(**options: Any) -> bytes:
    return saved(Image.new("RGBA", (80, 80), (255, 0, 0, 128)), "AVIF", quality=95, **options)


def test_an_alpha_plane_without_a_size_has_that_of_its_picture() -> None:
    """An encoder in wide use left it out for years; the transparency is not lost."""
    data = without_property(half_transparent(), 2, b"ispe")
    assert near(colour(seen(data)), (255, 127, 127), 10)


@FORMATS
@pytest.mark.parametrize(
    "group",
    [
        box(b"pymd", struct.pack(">IIIHHIHH", 0, 7, 1, 64, 64, 1, 1, 1)),
        box(b"altr", b"\0\0"),
        box(b"wxyz", b"\xff" * 40),
    ],
)
def test_groups_that_nobody_needs_spoil_nothing(format_: str, group: bytes) -> None:
    """A pyramid, an alternative or anything else that is said of the picture and not needed to show it."""
    # The last box is `meta` now, so one more can be put into it.
    data = with_properties(saved(quadrants(), format_), irot(0))
    at = data.rindex(b"meta") - 4
    groups = box(b"grpl", group)
    spoiled = data[:at] + struct.pack(">I", len(data) - at + len(groups)) + data[at + 4 :] + groups
    assert stands_upright(seen(spoiled), "large")


@FORMATS
def test_metadata_that_is_nonsense_spoils_nothing(format_: str) -> None:
    """An Exif item whose offset leads out of it is left out."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    data = saved(quadrants(), format_, exif=exif.tobytes())
    at = data.index(b"Maker")
    start = data.rindex(b"MM\0*", 0, at)
    start = start - 10 if data[start - 6 : start] == b"Exif\0\0" else start - 4
    assert stands_upright(seen(data[:start] + b"\xff" * 12 + data[start + 12 :]), "large")


@FORMATS
def test_numbers_that_nobody_knows_are_left_unspecified(format_: str) -> None:
    """A picture whose colours are numbered from the future counts as sRGB."""
    rendering = seen(with_cicp(saved(quadrants(), format_), 200, 201))
    assert stands_upright(rendering, "large")
    assert rendering.color_space == "sRGB"


def test_what_is_simplified_is_still_cropped_and_turned() -> None:
    """The properties that pixels depend on stay with their picture."""
    plain = saved(quadrants((360, 240)), "AVIF", quality=95)
    data = simplified(with_properties(plain, clap(200, 100), irot(2)))
    assert data is not None
    rendering = seen(data)
    assert (rendering.width, rendering.height, rendering.orientation) == (200, 100, 3)


@FORMATS
def test_a_simplified_picture_is_the_same_picture(format_: str) -> None:
    """Leaving out what is not needed changes no pixel, with tiles and with transparency."""
    tiles = {"tile_size": 128} if format_ == "HEIF" else {}
    for picture in (quadrants(), quadrants().convert("RGBA")):
        if picture.mode == "RGBA":
            picture.putalpha(90)
        data = saved(picture, format_, **(tiles if picture.mode == "RGB" else {}))
        plainer = simplified(data)
        assert plainer is not None
        assert seen(plainer).variants == seen(data).variants


@FORMATS
def test_a_picture_that_is_damaged_is_still_refused(format_: str) -> None:
    """Only the container is written anew: where the pixels are broken nothing helps."""
    data = saved(quadrants(), format_)
    at = data.index(b"mdat") + 4
    for spoiled in (data[:at] + bytes(len(data) - at), data[:at], data[: at // 2]):
        with pytest.raises(Permanent):
            seen(spoiled)


def test_every_cut_of_a_container_is_read_without_a_surprise() -> None:
    """Whatever is missing or wrong, the reader says nothing rather than raise, and walks no further than the file."""
    data = with_properties(half_transparent(), clap(40, 40), irot(1))
    for at in range(0, len(data), 3):
        assert isinstance(container_of(data[:at]), Container)
        assert simplified(data[:at]) is None or at > 100
        spoiled = data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]
        assert isinstance(container_of(spoiled), Container)
        simplified(spoiled)


def test_a_container_of_endless_lists_is_not_read() -> None:
    """What would take seconds to walk says nothing, and the decoder is left to judge it."""
    entries = b"".join(struct.pack(">HB", item, 200) + b"\x81" * 200 for item in range(1, 4000))
    ipma = box(b"ipma", struct.pack(">II", 0, 3999) + entries)
    few = box(b"ipma", struct.pack(">IIHBB", 0, 1, 1, 1, 0x81))
    for associations, is_turned in ((few, True), (ipma, False)):
        properties = box(b"iprp", box(b"ipco", irot(1)) + associations)
        meta = box(b"meta", bytes(4) + box(b"pitm", b"\0\0\0\0\0\1") + properties)
        data = box(b"ftyp", b"avif" + bytes(4) + b"mif1") + meta
        assert container_of(data).is_turned is is_turned

"""AVIF and HEIC are cropped, turned and mirrored as their container says, in this order, and only once."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from tests.containers import clap, imir, irot, turned_by_tag_only, with_properties
from tests.unit.workers.pictures import quadrants, saved, seen, stands_upright, turned, variant

SIZE = (400, 300)
OPTIONS: dict[str, dict[str, Any]] = {
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
}
_AGAINST_THE_CLOCK = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
_MIRRORED = (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT)


def drawn() -> Image.Image:
    """Return a picture no two parts and no two turns of which look alike."""
    picture = quadrants(SIZE)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((40, 30, 120, 90), fill=(240, 240, 20))
    draw.rectangle((260, 200, 300, 280), fill=(0, 0, 0))
    return picture


def same(found: Image.Image, wanted: Image.Image) -> bool:
    """Tell whether two pictures show the same but for what codecs do to them."""
    if found.size != wanted.size:
        return False
    return max(ImageStat.Stat(ImageChops.difference(found.convert("RGB"), wanted)).mean) < 5


@pytest.mark.parametrize("format_", ["AVIF", "HEIF"])
def test_crop_then_turn_then_mirror(format_: str) -> None:
    """In all thirty combinations the pixels are those that the standard (MIAF) and other decoders show."""
    plain = saved(drawn(), format_, **OPTIONS[format_])
    crops = [None, clap(200, 100, -50, 20), clap(201, 101, -49.5, 20.5)]
    boxes = [None, (50, 120, 250, 220), (50, 120, 251, 221)]
    for (crop, box), quarters, axis in itertools.product(
        zip(crops, boxes, strict=True), range(4), (None, 0, 1)
    ):
        wanted = drawn() if box is None else drawn().crop(box)
        if (turn := _AGAINST_THE_CLOCK[quarters]) is not None:
            wanted = wanted.transpose(turn)
        if axis is not None:
            wanted = wanted.transpose(_MIRRORED[axis])
        properties = [crop, irot(quarters) if quarters else None, None if axis is None else imir(axis)]
        asked = [each for each in properties if each is not None]
        rendering = seen(with_properties(plain, *asked) if asked else plain)
        assert (rendering.width, rendering.height) == wanted.size, (box, quarters, axis)
        assert same(variant(rendering, "large"), wanted), (box, quarters, axis)


def test_what_was_cropped_away_does_not_come_back_at_the_edge() -> None:
    """A picture is cropped before it is made smaller, so that no colour from outside is mixed in."""
    picture = Image.new("RGB", (3000, 2000), (255, 255, 255))
    picture.paste((0, 0, 0), (500, 500, 2500, 1500))
    data = saved(picture, "AVIF", quality=100, subsampling="4:4:4", speed=10)
    rendering = seen(with_properties(data, clap(1920, 960)))
    assert (rendering.width, rendering.height) == (1920, 960)
    assert variant(rendering, "large").convert("L").getextrema()[1] < 12


@pytest.mark.parametrize(
    "absurd",
    [
        clap(0, 100),
        clap(100, 100, 5000, 5000),
        clap(*SIZE),
        clap(200, 100)[:12] + bytes(4) + clap(200, 100)[16:],  # over zero
    ],
)
def test_an_aperture_that_holds_nothing_crops_nothing(absurd: bytes) -> None:
    """One that is empty, outside of the picture, the whole of it or divided by zero is ignored."""
    data = with_properties(saved(drawn(), "AVIF", **OPTIONS["AVIF"]), absurd)
    rendering = seen(data)
    assert (rendering.width, rendering.height) == SIZE


def test_an_aperture_that_reaches_beyond_the_picture_ends_with_it() -> None:
    """As other decoders do it, what lies outside is not invented."""
    data = with_properties(saved(drawn(), "AVIF", **OPTIONS["AVIF"]), clap(200, 100, 150, 0))
    rendering = seen(data)
    assert same(variant(rendering, "large"), drawn().crop((250, 100, 400, 200)))


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("format_", ["AVIF", "HEIF"])
def test_the_tag_turns_where_the_container_says_nothing(format_: str, tag: int) -> None:
    """Newer phones write the EXIF tag alone; the record tells the turn, and the picture stands upright."""
    rendering = seen(_turned_by_tag_only(format_, tag))
    assert (rendering.width, rendering.height, rendering.orientation) == (360, 240, tag)
    assert all(stands_upright(rendering, name) for name in ("large", "medium", "small"))


@pytest.mark.parametrize("format_", ["AVIF", "HEIF"])
def test_the_turn_of_xmp_counts_where_there_is_no_other(format_: str) -> None:
    """Neither the container nor EXIF says anything: then what an editor wrote is heeded."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="1"/></rdf:RDF></x:xmpmeta>'
    )
    stored = Image.open(io.BytesIO(turned(6, "PNG"))).convert("RGB")
    stored.info.clear()
    data = saved(stored, format_, xmp=xmp, **OPTIONS[format_])
    rendering = seen(data.replace(b'Orientation="1"', b'Orientation="6"'))
    assert rendering.orientation == 6
    assert stands_upright(rendering, "large")


@pytest.mark.parametrize("format_", ["AVIF", "HEIF"])
def test_the_tag_does_not_turn_again(format_: str) -> None:
    """Where the container turns, the tag only repeats it, whatever it says."""
    for tag in (1, 3, 6):
        data = with_properties(_turned_by_tag_only(format_, tag, of=6), irot(3))
        rendering = seen(data)
        assert (rendering.width, rendering.height) == (360, 240)
        assert stands_upright(rendering, "large")


@pytest.mark.parametrize("format_", ["AVIF", "HEIF"])
def test_a_crop_and_a_tag_go_together(format_: str) -> None:
    """The container crops, and the tag, which it leaves alone, turns what is left."""
    data = with_properties(_turned_by_tag_only(format_, 6), clap(240, 200, 0, -80))
    rendering = seen(data)
    assert (rendering.width, rendering.height) == (200, 240)
    assert rendering.orientation == 6


def _turned_by_tag_only(format_: str, tag: int, *, of: int | None = None) -> bytes:
    """Return `quadrants` stored so that the tag `of` would turn it upright, with `tag` in its EXIF alone."""
    stored = Image.open(io.BytesIO(turned(of or tag, "PNG"))).convert("RGB")
    stored.info.clear()
    return turned_by_tag_only(lambda exif: saved(stored, format_, exif=exif, **OPTIONS[format_]), tag)

"""The placeholder is a ThumbHash that any reader of the format understands."""

from __future__ import annotations

import base64

import pytest
from PIL import Image

from tests.unit.workers.pictures import quadrants, saved, seen, turned
from workers.imaging.placeholder import thumbhash


def uneven(size: tuple[int, int]) -> Image.Image:
    """Return a picture without symmetry, of which no term is zero."""
    slope, round_, ramp = Image.linear_gradient("L"), Image.radial_gradient("L"), Image.linear_gradient("L")
    bands = (
        slope.crop((0, 20, 256, 200)),
        round_.crop((30, 0, 170, 110)),
        ramp.rotate(70).crop((60, 40, 190, 200)),
    )
    return Image.merge("RGB", [band.resize(size) for band in bands])


@pytest.mark.parametrize(
    ("picture", "known"),
    [
        (uneven((32, 21)), "dde70545a0a3878770878788787877888f79680778"),
        (uneven((18, 32)), "dde7054420a307778888778778878f79680778"),
        (uneven((32, 32)), "dde7054720a3878770878788787877888877f89887768007"),
    ],
)
def test_known_pictures_have_their_known_hash(picture: Image.Image, known: str) -> None:
    """The values were made with the format's published reference; a reader would else show another picture."""
    assert thumbhash(picture.size, picture.tobytes()).hex() == known


def test_a_picture_of_one_colour_is_its_colour() -> None:
    """Nothing but the mean is told, and no noise of floats."""
    assert thumbhash((8, 8), b"\xff" * 192).hex() == "3f080207" + "00" * 20


def test_the_placeholder_is_short_text() -> None:
    """It fits into every record, and follows the thumbnail and not the stored pixels."""
    placeholder = seen(saved(quadrants((1280, 853)), "PNG")).placeholder
    assert placeholder is not None
    assert len(base64.b64decode(placeholder)) <= 25
    assert seen(turned(6, "PNG", (1280, 853))).placeholder == placeholder

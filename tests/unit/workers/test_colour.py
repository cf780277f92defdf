"""Colours come out as a person saw them in the original: profiles, inks, depths, transparency."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from PIL import Image

from tests.unit.workers.pictures import colour, ink_profile, matrix_profile, near, quadrants, saved, seen

# Primaries under D50, from the definitions of the two spaces.
DISPLAY_P3 = matrix_profile(
    (0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2
)
ADOBE_RGB = matrix_profile((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446), 2.2)
SRGB_LIKE = matrix_profile((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141), 2.2)
LOSSLESS: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}}


def _filled(mode: str, value: object, size: tuple[int, int] = (200, 150)) -> Image.Image:
    return Image.new(mode, size, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("profile", "stored", "looks"),
    [
        (DISPLAY_P3, (234, 51, 35), (255, 0, 0)),
        (ADOBE_RGB, (219, 0, 0), (255, 0, 0)),
        (ADOBE_RGB, (144, 255, 60), (0, 255, 0)),
        (SRGB_LIKE, (120, 180, 60), (120, 180, 60)),
    ],
)
@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_a_profile_is_applied(
    format_: str, profile: bytes, stored: tuple[int, ...], looks: tuple[int, ...]
) -> None:
    """Pure sRGB red and green, written in wider spaces, are pure again, and the profile is gone."""
    options = LOSSLESS.get(format_, {})
    data = saved(_filled("RGB", stored), format_, icc_profile=profile, **options)
    assert near(colour(seen(data)), looks, 12)
    assert near(colour(seen(saved(_filled("RGB", stored), "PNG"))), stored), "without a profile it is sRGB"


@pytest.mark.parametrize("profile", [b"garbage" * 99, ink_profile(), DISPLAY_P3[:200]])
def test_a_profile_that_does_not_fit_is_ignored(profile: bytes) -> None:
    """Damaged, or made for another kind of colour: then the picture counts as sRGB and is not refused."""
    data = saved(_filled("RGB", (120, 180, 60)), "JPEG", icc_profile=profile, quality=95)
    assert near(colour(seen(data)), (120, 180, 60))


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_inks_are_brought_to_light(format_: str) -> None:
    """CMYK with a profile goes through it, without one by plain arithmetic; never negative, never refused."""
    inks = _filled("CMYK", (0, 255, 255, 0))
    red, green, blue = colour(seen(saved(inks, format_)))
    assert red > 200
    assert max(green, blue) < 60
    assert near(colour(seen(saved(inks, format_, icc_profile=ink_profile()))), (255, 255, 255))


def test_a_profile_also_holds_for_a_picture_with_transparency() -> None:
    """The profile speaks of the colours, and the transparency is laid on white afterwards."""
    data = saved(_filled("RGBA", (234, 51, 35, 128)), "PNG", icc_profile=DISPLAY_P3)
    assert near(colour(seen(data)), (255, 127, 127), 12)


def test_lab_becomes_rgb() -> None:
    """A Lab TIFF of pure red is red."""
    data = saved(_filled("LAB", (136, 208, 195)), "TIFF")
    assert near(colour(seen(data)), (255, 0, 0), 16)


@pytest.mark.parametrize(
    ("mode", "value", "format_", "grey"),
    [
        ("I;16", 32768, "PNG", 128),
        ("I;16", 32768, "TIFF", 128),
        ("I;16", 65535, "PNG", 255),
        ("I", 32768, "TIFF", 128),
        ("F", 0.5, "TIFF", 128),
        ("F", 100.0, "TIFF", 100),
        ("F", 32768.0, "TIFF", 128),
        ("L", 77, "JPEG", 77),
        ("1", 1, "PNG", 255),
    ],
)
@pytest.mark.parametrize("size", [(200, 150), (2600, 1900)])
def test_depths_are_scaled_and_not_cut(
    mode: str, value: float, format_: str, grey: int, size: tuple[int, int]
) -> None:
    """Sixteen bits and floats keep their greys instead of turning white, whether or not they are resized."""
    assert near(colour(seen(saved(_filled(mode, value, size), format_))), (grey,) * 3, 3)


@pytest.mark.parametrize(
    ("picture", "format_"),
    [
        (_filled("RGBA", (255, 0, 0, 128)), "PNG"),
        (_filled("RGBA", (255, 0, 0, 128)), "WEBP"),
        (_filled("RGBA", (255, 0, 0, 128), (2600, 1900)), "PNG"),
        (_filled("RGBA", (255, 0, 0, 128)), "TIFF"),
        (_filled("RGBA", (255, 0, 0, 128)), "AVIF"),
        (_filled("RGBA", (255, 0, 0, 128)), "JPEG2000"),
    ],
)
def test_transparency_is_laid_on_white(picture: Image.Image, format_: str) -> None:
    """Half transparent red is pink, not dark red."""
    options = {"WEBP": {"lossless": True}}.get(format_, {})
    assert near(colour(seen(saved(picture, format_, **options))), (255, 127, 127), 10)


def test_grey_transparency_is_laid_on_white() -> None:
    """Half transparent black is middle grey."""
    assert near(colour(seen(saved(_filled("LA", (0, 128)), "PNG"))), (127, 127, 127))


def test_a_hidden_grey_of_sixteen_bits_is_white() -> None:
    """One value of sixteen bits stands for nothing, and its neighbours do not."""
    row = struct.pack("<H", 30_000) * 100 + struct.pack("<H", 30_001) * 100
    picture = Image.frombytes("I;16", (200, 100), row * 100)
    rendering = seen(saved(picture, "PNG", transparency=30_000))
    assert near(colour(rendering, at=(0.25, 0.5)), (255, 255, 255))
    assert near(colour(rendering, at=(0.75, 0.5)), (117, 117, 117))


@pytest.mark.parametrize("format_", ["GIF", "PNG"])
def test_a_transparent_place_of_a_palette_is_white(format_: str) -> None:
    """The palette's hidden colour does not come out."""
    picture = quadrants().quantize(8)
    hidden = picture.getpixel((10, 10))
    rendering = seen(saved(picture, format_, transparency=hidden))
    assert near(colour(rendering, at=(0.25, 0.5)), (255, 255, 255))
    assert near(colour(rendering, at=(0.75, 0.25)), (30, 30, 220), 40)

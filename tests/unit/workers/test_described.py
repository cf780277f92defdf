"""What the record learns of a picture besides its metadata: frames, turn, colour space, likeness."""

from __future__ import annotations

import time
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageEnhance

from tests.unit.workers.pictures import GREEN, RED, matrix_profile, quadrants, saved, seen, turned
from workers.imaging.fingerprints import dhash, dominant_colour


def several(format_: str) -> bytes:
    """Return a file of five frames or pages."""
    first, *others = (Image.new("RGB", (60, 40), (10 * number, 0, 0)) for number in range(5))
    return saved(first, format_, save_all=True, append_images=others)


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF", "MPO", "AVIF", "HEIF"])
def test_frames_and_pages_are_counted(format_: str) -> None:
    """All of them, although only the first one is decoded."""
    assert seen(several(format_)).frames == 5


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG2000"])
def test_a_still_picture_has_one_frame(format_: str) -> None:
    """Neither none nor unknown."""
    assert seen(saved(Image.new("RGB", (60, 40), RED), format_)).frames == 1


def test_pages_that_break_off_fail_nothing() -> None:
    """What follows the first page is missing: the first is shown all the same, and no wrong number is told."""
    data = several("TIFF")
    assert seen(data[: len(data) * 6 // 10]).frames in (None, 1, 2, 3, 4)


def test_counting_ends_in_time() -> None:
    """Fifty thousand frames are not counted to their end."""
    still = saved(Image.new("P", (8, 8)), "GIF")
    at = still.index(b"\x2c")
    many = still[:at] + still[at:-1] * 50_000 + still[-1:]
    began = time.process_time()
    assert seen(many).frames is None
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("format_", "told"), [("JPEG", 6), ("PNG", 6), ("WEBP", 6), ("AVIF", 6), ("TIFF", 1)]
)
def test_the_turn_that_was_applied_is_told(format_: str, told: int) -> None:
    """Formats whose decoder has turned the picture already need none of ours."""
    assert seen(turned(6, format_)).orientation == told


@pytest.mark.parametrize(
    ("mode", "format_", "name"),
    [
        ("RGB", "JPEG", "sRGB"),
        ("L", "JPEG", "grey"),
        ("CMYK", "JPEG", "CMYK"),
        ("LAB", "TIFF", "Lab"),
        ("P", "GIF", "sRGB"),
    ],
)
def test_a_colour_space_is_named(mode: str, format_: str, name: str) -> None:
    """Without a profile it is what the picture counts as."""
    assert seen(saved(Image.new(mode, (30, 20)), format_)).color_space == name


def test_a_profile_names_its_colour_space() -> None:
    """As it calls itself."""
    profile = matrix_profile(
        (0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2
    )
    assert seen(saved(quadrants(), "JPEG", icc_profile=profile)).color_space == "test"
    assert seen(saved(quadrants(), "JPEG", icc_profile=b"garbage" * 30)).color_space == "sRGB"


def _with_exif(details: dict[int, Any]) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update(details)
    return saved(quadrants((64, 48)), "JPEG", exif=exif.tobytes())


def test_lens_and_exposure_are_read_each_on_its_own() -> None:
    """One that makes no sense is absent and takes no other with it."""
    base = ExifTags.Base
    known = {base.ExposureTime: 0.005, base.FNumber: 2.8, base.ISOSpeedRatings: 400, base.FocalLength: 35.0}
    rendering = seen(_with_exif({**known, base.LensModel: "35mm F2.8\0rubbish"}))
    assert rendering.lens == "35mm F2.8"
    assert rendering.exposure == {"seconds": 0.005, "f_number": 2.8, "iso": 400, "focal_length_mm": 35}
    odd = seen(_with_exif({base.FNumber: "wide", base.ExposureTime: 0.0, base.ISOSpeedRatings: 100}))
    assert odd.exposure == {"iso": 100}
    assert seen(saved(quadrants(), "PNG")).exposure is None


def _apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_likes_have_like_hashes() -> None:
    """Smaller, brighter and saved anew a picture differs in a few bits; another one in many."""
    picture = Image.radial_gradient("L").convert("RGB").crop((20, 0, 256, 180))
    told = seen(saved(picture, "PNG")).dhash
    again = seen(
        saved(ImageEnhance.Brightness(picture.resize((150, 115))).enhance(1.2), "JPEG", quality=60)
    ).dhash
    other = seen(saved(Image.linear_gradient("L").rotate(60).crop((70, 70, 190, 190)), "PNG")).dhash
    assert told is not None
    assert again is not None
    assert other is not None
    assert len(told) == 16
    assert _apart(told, again) <= 6
    assert _apart(told, other) > 15


def test_the_dominant_colour_covers_most() -> None:
    """Not the mean of all, which may be nowhere in the picture."""
    picture = Image.new("RGB", (300, 200), GREEN)
    picture.paste(RED, (0, 0, 100, 200))
    assert dominant_colour(picture) == "#1ea01e"
    assert dhash(Image.new("RGB", (3, 3), RED)) == "0" * 16

"""Every picture stands upright, in every format, judged by its pixels."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from tests.unit.workers.pictures import quadrants, saved, seen, stands_upright, turned

LOSSLESS: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "HEIF": {"quality": -1}}


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_eight_orientations_stand_upright(format_: str, tag: int) -> None:
    """Whether Pillow, the plugin or we turn the pixels, they are turned once, and the record says how it looks."""
    rendering = seen(turned(tag, format_, **LOSSLESS.get(format_, {})))
    assert (rendering.width, rendering.height) == (360, 240)
    assert all(stands_upright(rendering, name) for name in ("large", "medium", "small"))


@pytest.mark.parametrize("tag", [1, 6, 7])
@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_a_large_picture_is_turned_after_it_was_made_small(format_: str, tag: int) -> None:
    """Decoding at a smaller scale changes neither the turn nor the size that the record tells."""
    rendering = seen(turned(tag, format_, (3000, 2000)))
    assert (rendering.width, rendering.height) == (3000, 2000)
    assert (rendering.variants[0].width, rendering.variants[0].height) == (1280, 853)
    assert all(stands_upright(rendering, name) for name in ("large", "medium", "small"))


@pytest.mark.parametrize("tag", [0, 9, 65535])
def test_a_tag_that_means_nothing_turns_nothing(tag: int) -> None:
    """Values outside 1 to 8 are ignored."""
    exif = Image.Exif()
    exif[0x0112] = tag
    assert stands_upright(seen(saved(quadrants(), "JPEG", exif=exif)), "large")


def test_a_tag_that_cannot_be_read_turns_nothing() -> None:
    """Broken metadata does not fail a picture whose pixels are good."""
    rendering = seen(saved(quadrants(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(range(200))))
    assert stands_upright(rendering, "large")

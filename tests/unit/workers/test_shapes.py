"""Three thumbnails of every picture: never enlarged, never of no width, always of the first frame."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.unit.workers.pictures import BLUE, RED, colour, near, quadrants, saved, seen

FIRST, SECOND = Image.new("RGB", (120, 80), RED), Image.new("RGB", (120, 80), BLUE)


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((3000, 2000), [(1280, 853), (480, 320), (160, 107)]),
        ((2000, 3000), [(853, 1280), (320, 480), (107, 160)]),
        ((1280, 960), [(1280, 960), (480, 360), (160, 120)]),
        ((1000, 10), [(1000, 10), (480, 5), (160, 2)]),
        ((40, 30), [(40, 30)] * 3),
        ((1, 1), [(1, 1)] * 3),
        ((1, 30000), [(1, 1280), (1, 480), (1, 160)]),
        ((30000, 1), [(1280, 1), (480, 1), (160, 1)]),
    ],
)
@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_sizes(format_: str, size: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    """The long edge is 1280, 480, 160, or the source's own where that is smaller; no edge is ever 0."""
    rendering = seen(saved(Image.new("RGB", size, RED), format_))
    assert (rendering.width, rendering.height) == size
    assert [each.name for each in rendering.variants] == ["large", "medium", "small"]
    assert [(each.width, each.height) for each in rendering.variants] == sizes
    assert all(near(colour(rendering, each.name), RED, 12) for each in rendering.variants)


@pytest.mark.parametrize(
    ("format_", "told"),
    [("GIF", "GIF"), ("PNG", "PNG"), ("WEBP", "WEBP"), ("TIFF", "TIFF"), ("MPO", "MPO"), ("AVIF", "AVIF")],
)
def test_the_first_of_several_frames_is_shown(format_: str, told: str) -> None:
    """Animations, pages and pairs of pictures give their first."""
    rendering = seen(saved(FIRST, format_, save_all=True, append_images=[SECOND, SECOND]))
    assert rendering.format == told
    assert near(colour(rendering), RED, 12)


@pytest.mark.parametrize(
    ("format_", "content_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("TIFF", "image/tiff"),
        ("BMP", "image/bmp"),
        ("ICO", "image/x-icon"),
        ("AVIF", "image/avif"),
        ("HEIF", "image/heic"),
        ("MPO", "image/jpeg"),
        ("JPEG2000", "image/jp2"),
    ],
)
def test_every_admitted_format_is_told_by_its_content(format_: str, content_type: str) -> None:
    """Whatever the file is called, the record names what it is."""
    several = {"save_all": True, "append_images": [SECOND]} if format_ == "MPO" else {}
    rendering = seen(saved(quadrants((64, 64)), format_, **several))
    assert (rendering.format, rendering.content_type) == (format_, content_type)
    assert {each.content_type for each in rendering.variants} == {"image/jpeg"}


@pytest.mark.parametrize("levels", [1, 6])
def test_a_jpeg_2000_of_few_levels_is_decoded_whole(levels: int) -> None:
    """A file that has fewer sizes inside than would be handy is rendered all the same."""
    rendering = seen(saved(quadrants((3000, 2000)), "JPEG2000", num_resolutions=levels))
    assert (rendering.width, rendering.variants[0].width) == (3000, 1280)
    assert near(colour(rendering, at=(0.75, 0.25)), BLUE, 20)


def test_equal_bytes_give_equal_thumbnails() -> None:
    """So that a second run finds its own blobs in place."""
    data = saved(quadrants((1700, 900)), "JPEG")
    assert seen(data) == seen(data)

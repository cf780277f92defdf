"""What is refused, and with which code; and what looks suspicious and is good all the same."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from PIL import Image, ImageFile, PngImagePlugin

from tests.unit.workers.pictures import GREEN, colour, near, quadrants, saved, seen, stands_upright
from workers.failures import Permanent
from workers.imaging.refusals import SENTENCES
from workers.imaging.scans import too_many_scans


def refused(data: bytes, **limits: object) -> Permanent:
    with pytest.raises(Permanent) as caught:
        seen(data, **limits)
    assert caught.value.detail.endswith("."), "a sentence for people"
    assert "{" not in caught.value.detail
    return caught.value


def noise(size: tuple[int, int] = (400, 300)) -> Image.Image:
    return Image.effect_noise(size, 90).convert("RGB")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header_bomb() -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def scan_bomb() -> bytes:
    data = saved(quadrants(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 200 + data[-2:]


@pytest.mark.parametrize(
    ("data", "looks_like"),
    [
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),
        (b"<?xml version='1.0'?><svg xmlns='x'><script/></svg>", "an SVG drawing"),
        (b"<!DOCTYPE html><html><img src=x></html>", "a web page"),
        (b'[{"errorCode":"NOT_FOUND"}]', "a JSON document"),
        (b"PK\x03\x04rest", "a ZIP archive or an Office document"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video"),
        (b"MZ\x90\0", "a program"),
        (b"plain words\n", "text"),
        (b"\x01\x02\x03\x04", "something unknown"),
    ],
)
def test_what_is_no_picture_is_told_by_what_it_looks_like(data: bytes, looks_like: str) -> None:
    """A person learns what was attached instead of a picture; no decoder sees it."""
    failure = refused(data)
    assert failure.code == "image_unsupported"
    assert f"This is {looks_like}," in failure.detail


def test_no_bytes_are_no_picture() -> None:
    """An empty attachment has a code of its own."""
    assert refused(b"").code == "image_empty"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "TIFF", "BMP"])
def test_a_file_that_ends_early_is_truncated(format_: str) -> None:
    """Half a file is not half a picture."""
    data = saved(noise(), format_)
    failure = refused(data[: len(data) * 6 // 10])
    assert failure.code == "image_truncated"
    assert format_ in failure.detail


def test_a_truncated_picture_is_rendered_where_that_is_wished() -> None:
    """It is marked, and the lenience ends with it: the next truncated picture is refused again."""
    picture = quadrants((800, 600))
    data = saved(picture, "JPEG", quality=95)
    cut = data[: len(data) * 8 // 10]
    rendering = seen(cut, accept_truncated=True)
    assert rendering.partial
    assert len(rendering.variants) == 3
    assert not seen(data, accept_truncated=True).partial
    assert refused(cut).code == "image_truncated"
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + b"rubbish" * 20,
        b"GIF89a" + bytes(20),
        b"II*\0" + b"\xff" * 40,
        b"BM" + bytes(60),
        b"RIFF\x20\0\0\0WEBPVP8 " + bytes(40),
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + bytes(60),
        b"\0\0\0\x1cftypheic\0\0\0\0heicmif1" + bytes(60),
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
    ],
)
def test_damage_behind_a_good_signature_is_corruption(data: bytes) -> None:
    """It says that it is a picture, so it is a broken one and not an unsupported file."""
    assert refused(data).code in ("image_corrupt", "image_truncated")


def test_pixels_are_counted_before_memory_is_spent() -> None:
    """A small file that would become gigabytes is refused by its header, as is any above the limit."""
    assert refused(header_bomb()).code == "image_too_large"
    data = saved(quadrants((100, 100)), "PNG")
    assert refused(data, pixels=9_999).code == "image_too_large"
    assert stands_upright(seen(data, pixels=10_000), "large")


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    """Every scan costs a walk over the whole picture, and no pixel limit would prevent that."""
    assert refused(scan_bomb()).code == "image_too_complex"


def test_an_honest_progressive_jpeg_is_rendered() -> None:
    """Ten scans are what a progressive picture has."""
    assert stands_upright(seen(saved(quadrants(), "JPEG", progressive=True)), "large")


def test_a_video_behind_a_photograph_is_no_scan_bomb() -> None:
    """Phones append a short film; the marker's two bytes stand in it by chance, and do not count."""
    data = saved(quadrants(), "JPEG") + b"\xff\xda\x01\x02" * 5000
    assert not too_many_scans(data, 100)
    assert stands_upright(seen(data), "large")


def test_text_that_unpacks_to_megabytes_is_refused() -> None:
    """A bomb may also sit in a comment."""
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "a" * 70_000_000, zip=True)
    assert refused(saved(quadrants((32, 32)), "PNG", pnginfo=text)).code == "image_too_complex"


def test_a_file_is_what_its_bytes_are() -> None:
    """Script before, inside and behind a picture does not make it another thing, and does not come out."""
    picture = Image.new("RGB", (64, 64), GREEN)
    data = saved(picture, "JPEG", comment=b"<?php evil(); ?>") + b"<script>evil()</script>"
    rendering = seen(data)
    assert near(colour(rendering), GREEN)
    assert all(b"evil" not in each.data for each in rendering.variants)


def test_mutated_files_end_in_a_picture_or_a_code() -> None:
    """Four hundred damaged files of every format: nothing but Permanent with a known code ever comes out."""
    chance = random.Random(20251125)
    sources = [
        saved(quadrants((90, 60)), format_)
        for format_ in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "ICO", "AVIF", "HEIF", "JPEG2000")
    ]
    outcomes = set()
    for turn in range(400):
        data = bytearray(sources[turn % len(sources)])
        for _ in range(chance.randint(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        try:
            outcomes.add(str(len(seen(bytes(data)).variants)))
        except Permanent as failure:
            outcomes.add(failure.code)
    assert outcomes <= {"3", *SENTENCES}
    assert outcomes >= {"3", "image_corrupt", "image_truncated"}

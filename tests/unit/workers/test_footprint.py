"""No picture that is accepted passes the memory of its decoder, and what is too large is refused unseen."""

from __future__ import annotations

import io
import struct
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from tests.containers import clap, deep_png, with_cicp, with_properties
from tests.unit.workers.pictures import saved, seen
from workers.decoding.client import Decoder
from workers.failures import Permanent
from workers.imaging.baggage import baggage_bytes
from workers.imaging.footprint import most_pixels
from workers.imaging.limits import Limits
from workers.imaging.rendering import Rendering
from workers.imaging.variants import DEFAULT, parse

SPECS = parse(DEFAULT).specs
MEMORY = 288 * 2**20  # small, so that pictures at the limit are quickly made
NEVER = threading.Event()

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by the kernel")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(limits=Limits(memory_bytes=MEMORY, seconds=60), reuse=1)
    decoder.start()
    yield decoder
    decoder.stop()


def rendered(decoder: Decoder, data: bytes) -> Rendering:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        return decoder.render(file, stopping=NEVER)


@pytest.mark.parametrize(
    ("kind", "format_", "mode", "options"),
    [
        ("progressive JPEG", "JPEG", "RGB", {"progressive": True, "subsampling": 0}),
        ("progressive JPEG", "JPEG", "CMYK", {"progressive": True}),
        ("PNG", "PNG", "RGBA", {"compress_level": 1}),
        ("PNG", "PNG", "P", {"compress_level": 1, "transparency": 0}),
        ("GIF", "GIF", "P", {"transparency": 0}),
        ("BMP", "BMP", "RGB", {}),
        ("TIFF", "TIFF", "RGBA", {"compression": "tiff_deflate", "strip_size": 2**30}),
        ("TIFF", "TIFF", "F", {"compression": "tiff_lzw"}),
        ("WEBP", "WEBP", "RGBA", {"lossless": True, "method": 0, "quality": 1}),
        ("WEBP", "WEBP", "RGB", {"method": 0}),
        ("AVIF", "AVIF", "RGBA", {"speed": 10, "subsampling": "4:4:4"}),
        pytest.param(
            "HEIF", "HEIF", "RGBA", {"chroma": 444}, marks=pytest.mark.slow
        ),  # is long in the making
        ("JPEG2000", "JPEG2000", "RGBA", {"num_resolutions": 1}),
    ],
)
def test_a_picture_at_its_limit_is_rendered_and_one_above_is_refused(
    decoder: Decoder, kind: str, format_: str, mode: str, options: dict[str, Any]
) -> None:
    """The table of footprints is no lower than what the decoders take, in the modes that take most."""
    bytes_of = Image.linear_gradient("L").resize((64, 64))
    small = Image.merge("RGBA", (bytes_of, bytes_of.rotate(90), bytes_of, bytes_of)).convert("RGB")
    small = small.convert(mode) if mode != "RGBA" else Image.merge("RGBA", (*small.split(), bytes_of))
    most = most_pixels(kind, file_bytes=0, specs=SPECS, limits=Limits(memory_bytes=MEMORY))
    assert 1_000_000 < most < 100_000_000
    at_most = saved(small.resize((2000, most // 2000)), format_, **options)
    most = most_pixels(kind, file_bytes=len(at_most), specs=SPECS, limits=Limits(memory_bytes=MEMORY))
    at_limit = saved(small.resize((2000, most // 2000 - 10)), format_, **options)
    assert rendered(decoder, at_limit).width == 2000
    with pytest.raises(Permanent) as caught:
        rendered(decoder, saved(small.resize((2000, most // 1000)), format_, **options))
    assert caught.value.code == "image_too_large"


def _deep(format_: str, size: tuple[int, int]) -> bytes:
    """Return a picture that is taken apart in as many bits as its decoder gives, transparency with it."""
    row = Image.linear_gradient("L").resize((size[0], 1)).tobytes()
    if format_ == "PNG":
        wide = b"".join(bytes((value,) * 8) for value in row)
        return deep_png(size, wide * size[1], channels=4, cicp=bytes((9, 16, 0, 1)))
    if format_ == "AVIF":
        picture = Image.frombytes("L", (size[0], 1), row).resize(size).convert("RGBA")
        picture.putalpha(picture.getchannel("R"))
        data = saved(picture, "AVIF", speed=10, subsampling="4:4:4")
        return with_properties(with_cicp(data, 9, 16), clap(size[0] - 20, size[1] - 20))
    out, wide = io.BytesIO(), b"".join(bytes((value,) * 8) for value in row)
    colours = {"color_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9}
    pillow_heif.from_bytes("RGBA;16", size, wide * size[1]).save(out, quality=10, chroma=444, **colours)
    return out.getvalue()


@pytest.mark.parametrize("format_", ["PNG", "AVIF", pytest.param("HEIF", marks=pytest.mark.slow)])
def test_a_deep_picture_at_its_limit_is_rendered_and_one_above_is_refused(
    decoder: Decoder, format_: str
) -> None:
    """What HDR and a crop take beyond the usual is counted before it is taken."""
    kind, limits = f"deep {format_}", Limits(memory_bytes=MEMORY)
    most = most_pixels(kind, file_bytes=0, specs=SPECS, limits=limits)
    most = most_pixels(kind, file_bytes=len(_deep(format_, (2000, most // 2000))), specs=SPECS, limits=limits)
    assert 1_000_000 < most < 100_000_000
    assert rendered(decoder, _deep(format_, (2000, most // 2000 - 10))).width in (2000, 1980)
    with pytest.raises(Permanent) as caught:
        rendered(decoder, _deep(format_, (2000, most // 2000 + 100)))
    assert caught.value.code == "image_too_large"


def test_a_webp_is_measured_before_its_decoder_takes_memory() -> None:
    """The three kinds of header tell their size; a liar among them is refused by the decoder itself."""
    large = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0\xff\x3f\0"
    for claim in (
        large,
        b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0/\xff\xff\xff\x0f",
        b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f",
    ):
        with pytest.raises(Permanent) as caught:
            seen(claim + bytes(64))
        assert caught.value.code == "image_too_large"
    for options in ({}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}):
        data = saved(Image.new("RGB", (70, 50)), "WEBP", **options)
        assert seen(data, pixels=3500).width == 70
        with pytest.raises(Permanent):
            seen(data, pixels=3499)


def jpeg_with_baggage(size: int) -> bytes:
    data = saved(Image.new("RGB", (32, 32)), "JPEG")
    segments, rest = divmod(size, 60_000)
    part = b"\xff\xef" + struct.pack(">H", 60_002) + bytes(60_000)
    return data[:2] + part * segments + b"\xff\xfe" + struct.pack(">H", rest + 2) + bytes(rest) + data[2:]


def png_with_baggage(size: int) -> bytes:
    data = saved(Image.new("RGB", (32, 32)), "PNG")
    chunk = b"prVt" + bytes(size)
    return data[:33] + struct.pack(">I", size) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def webp_with_baggage(size: int) -> bytes:
    return saved(Image.new("RGB", (32, 32)), "WEBP", exif=b"Exif\0\0MM\0*" + bytes(size))


def gif_with_baggage(size: int) -> bytes:
    data = saved(Image.new("P", (32, 32)), "GIF")
    at = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    blocks, rest = divmod(size, 255)
    comment = (b"\xff" + bytes(255)) * blocks + (bytes([rest]) + bytes(rest) if rest else b"") + b"\0"
    return data[:at] + b"\x21\xfe" + comment + data[at:]


def tiff_with_baggage(size: int) -> bytes:
    """Sixty tags that all name the same bytes."""
    tags = b"".join(struct.pack("<HHII", 40_000 + number, 1, size // 60, 730) for number in range(60))
    return (struct.pack("<2sHIH", b"II", 42, 8, 60) + tags + bytes(4)).ljust(800, b"\0") + bytes(size // 60)


@pytest.mark.parametrize(
    ("kind", "with_baggage"),
    [
        ("JPEG", jpeg_with_baggage),
        ("PNG", png_with_baggage),
        ("WebP", webp_with_baggage),
        ("GIF", gif_with_baggage),
        ("TIFF", tiff_with_baggage),
    ],
)
def test_metadata_is_weighed_before_it_is_read(kind: str, with_baggage: Any) -> None:
    """A file that carries more than its limit is refused; what real files carry is let through."""
    data = with_baggage(400_000)
    assert 399_900 <= baggage_bytes(data, kind) < 402_000
    with pytest.raises(Permanent) as caught:
        seen(data, metadata_bytes=399_000)
    assert caught.value.code == "image_too_complex"
    if kind != "TIFF":
        assert seen(data).width == 32


def test_more_memory_lets_larger_pictures_in() -> None:
    """The limit follows the setting, and never passes MAX_PIXELS."""
    limits = [Limits(memory_bytes=size * 2**30) for size in (1, 2, 64)]
    small, large, most = (most_pixels("WEBP", file_bytes=0, specs=SPECS, limits=each) for each in limits)
    assert small < large <= most == Limits().pixels
    wide = parse("large 4096, medium 480, small 160").specs
    assert most_pixels("WEBP", file_bytes=0, specs=wide, limits=limits[0]) < small


@pytest.mark.slow
def test_five_hundred_pictures_leave_no_trace() -> None:
    """One child over 500 mixed pictures holds at the end what it held after a hundred, within a twentieth."""
    pictures = [
        saved(Image.effect_noise((400 + 300 * (number % 5), 700), 40).convert("RGB"), format_)
        for number, format_ in enumerate(("JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "BMP") * 2)
    ]
    decoder, held = Decoder(reuse=1000, slots=1), []
    decoder.start()
    try:
        for number in range(500):
            rendered(decoder, pictures[number % len(pictures)])
            if number >= 100 and number % len(pictures) == 0:
                held.append(_resident_of_child(decoder))
    finally:
        decoder.stop()
    assert max(held[-5:]) <= 1.05 * max(held[:5])


def _resident_of_child(decoder: Decoder) -> int:
    children = f"/proc/{decoder.server_pid}/task/{decoder.server_pid}/children"
    with open(children) as listed:
        (child,) = listed.read().split()
    with open(f"/proc/{child}/statm") as statm:
        return int(statm.read().split()[1])

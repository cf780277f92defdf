"""What the page says of every container and signal of colour, turn and crop is what comes out, cell by cell."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.containers import clap, irot, turned_by_tag_only, with_cicp, with_jp2_colour, with_properties
from tests.unit.workers.pictures import colour, matrix_profile, near, quadrants, saved, seen, stands_upright

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "pictures.md"
P3_RED, RED = (234, 51, 35), (255, 0, 0)
DISPLAY_P3 = matrix_profile(
    (0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841), 2.2
)
WRITERS = {"JPEG 2000": "JPEG2000", "HEIC": "HEIF", "WebP": "WEBP"}
OPTIONS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 98, "subsampling": 0},
    "WebP": {"lossless": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIC": {"quality": -1, "chroma": 444},
}


def cells() -> list[tuple[str, str, str]]:
    """Return container, signal and what is done with it, from the table of the page."""
    lines = PAGE.read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("| container |"))
    rows = [
        [part.strip() for part in line.strip("|").split("|")] for line in lines[start:] if line[:1] == "|"
    ]
    signals = rows[0][1:]
    table = rows[2 : 2 + next(n for n, line in enumerate(lines[start + 2 :]) if not line.startswith("|"))]
    return [
        (row[0], signal, done)
        for row in table
        for signal, done in zip(signals, row[1:], strict=True)
        if done != "none"
    ]


def written(container: str, picture: Image.Image, **more: object) -> bytes:
    return saved(picture, WRITERS.get(container, container), **(OPTIONS.get(container, {}) | more))


def flat(value: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (200, 150), value)


def a_profile(container: str) -> bool:
    if container == "JPEG 2000":
        data = with_jp2_colour(written(container, flat(P3_RED), mct=0), 2, DISPLAY_P3)
    else:
        data = written(container, flat(P3_RED), icc_profile=DISPLAY_P3)
    return near(colour(seen(data)), RED, 12)


def numbers(container: str, value: tuple[int, int, int], primaries: int, transfer: int) -> bytes:
    data = written(container, flat(value), **({"mct": 0} if container == "JPEG 2000" else {}))
    return with_cicp(data, primaries, transfer)


def some_numbers(container: str) -> bool:
    return near(colour(seen(numbers(container, P3_RED, 12, 13))), RED, 8)


def gamma(container: str) -> bool:
    at = written(container, flat((128, 128, 128)))
    chunk = b"gAMA" + struct.pack(">I", 100_000)
    data = at[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + at[33:]
    return near(colour(seen(data)), (188, 188, 188), 2)


def hdr(container: str) -> bool:
    """100 nits in PQ, and half of HLG: by numbers where there are some, else by those inside a profile."""
    found = []
    for value, transfer in (((130,) * 3, 16), ((128,) * 3, 18)):
        if container in ("JPEG", "WebP", "TIFF"):
            data = written(container, flat(value), icc_profile=_profile_with_numbers(9, transfer))
        else:
            data = numbers(container, value, 9, transfer)
        found.append(colour(seen(data)))
    return near(found[0], (186,) * 3, 5) and near(found[1], (137,) * 3, 5)


def _profile_with_numbers(primaries: int, transfer: int) -> bytes:
    body = b"cicp" + bytes(4) + bytes((primaries, transfer, 0, 1))
    return bytes(128) + struct.pack(">I4sII", 1, b"cicp", 144, len(body)) + body


def a_tag(container: str) -> bool:
    stored = quadrants().transpose(Image.Transpose.ROTATE_90)
    if container in ("JPEG", "TIFF", "PNG", "WebP"):
        exif = Image.Exif()
        exif[0x0112] = 6
        return stands_upright(seen(written(container, stored, exif=exif.tobytes())), "large")
    if container == "JPEG 2000":
        exif = Image.Exif()
        exif[0x0112] = 6
        plain = written(container, stored)
        body = bytes.fromhex("4a706754696666457869662d3e4a5032") + exif.tobytes().removeprefix(b"Exif\0\0")
        at = plain.index(b"jp2c") - 4
        box = struct.pack(">I", 8 + len(body)) + b"uuid" + body
        return stands_upright(seen(plain[:at] + box + plain[at:]), "large")
    return stands_upright(
        seen(turned_by_tag_only(lambda exif: written(container, stored, exif=exif), 6)), "large"
    )


def a_turn(container: str) -> bool:
    stored = quadrants().transpose(Image.Transpose.ROTATE_90)
    return stands_upright(seen(with_properties(written(container, stored), irot(3))), "large")


def a_crop(container: str) -> bool:
    rendering = seen(with_properties(written(container, quadrants()), clap(100, 80, -100, 0)))
    return (rendering.width, rendering.height) == (100, 80)


CHECKS: dict[str, Callable[[str], bool]] = {
    "profile (ICC)": a_profile,
    "numbers (CICP)": some_numbers,
    "gAMA, cHRM": gamma,
    "PQ, HLG": hdr,
    "turn in EXIF": a_tag,
    "turn in the container": a_turn,
    "crop": a_crop,
}


@pytest.mark.parametrize(("container", "signal", "done"), cells())
def test_each_cell_is_so(container: str, signal: str, done: str) -> None:
    """Judged by the pixels of a file that says it in this way alone."""
    assert done in ("applied", "tone-mapped")
    assert CHECKS[signal](container)


def test_the_table_is_whole() -> None:
    """Every container with colours of its own is in it, and no signal is without a cell."""
    found = cells()
    assert {container for container, _, _ in found} == {
        "JPEG", "PNG", "WebP", "TIFF", "AVIF", "HEIC", "JPEG 2000",
    }  # fmt: skip
    assert {signal for _, signal, _ in found} == set(CHECKS)
    assert len(found) >= 26

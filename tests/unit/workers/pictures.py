"""Draw the pictures that the rendering tests need: small, and each with one thing that must come out right."""

from __future__ import annotations

import io
import struct
from typing import Any

from PIL import Image, ImageDraw

from workers.imaging.limits import Limits
from workers.imaging.reading import prepare
from workers.imaging.recipe import render
from workers.imaging.rendering import Rendering

RED, BLUE, GREEN = (220, 30, 30), (30, 30, 220), (30, 160, 30)

# How an upright picture must be stored so that the tag turns it back.
_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def seen(data: bytes, **limits: Any) -> Rendering:
    """Render in this process, as a decoding child does."""
    prepare()
    return render(data, limits=Limits(**limits))


def saved(picture: Image.Image, format_: str, **options: Any) -> bytes:
    """Return the bytes of a file."""
    prepare()
    out = io.BytesIO()
    picture.save(out, format_, **options)
    return out.getvalue()


def variant(rendering: Rendering, name: str) -> Image.Image:
    """Return one thumbnail, decoded."""
    (found,) = (each for each in rendering.variants if each.name == name)
    picture = Image.open(io.BytesIO(found.data))
    picture.load()
    assert picture.size == (found.width, found.height)
    return picture


def colour(
    rendering: Rendering, name: str = "large", at: tuple[float, float] = (0.5, 0.5)
) -> tuple[int, ...]:
    """Return the RGB value in one place of a thumbnail, given in parts of its width and height."""
    picture = variant(rendering, name).convert("RGB")
    value = picture.getpixel((int(at[0] * picture.width), int(at[1] * picture.height)))
    assert isinstance(value, tuple)
    return value


def near(found: tuple[int, ...], wanted: tuple[int, ...], tolerance: int = 6) -> bool:
    """Tell whether two colours are the same but for what JPEG does to them."""
    return all(abs(one - other) <= tolerance for one, other in zip(found, wanted, strict=True))


def quadrants(size: tuple[int, int] = (360, 240)) -> Image.Image:
    """Return a picture that looks different in all eight orientations: left red, right blue above green."""
    picture, (width, height) = Image.new("RGB", size, RED), size
    draw = ImageDraw.Draw(picture)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), fill=BLUE)
    draw.rectangle((width // 2, height // 2, width, height), fill=GREEN)
    return picture


def turned(tag: int, format_: str, size: tuple[int, int] = (360, 240), **options: Any) -> bytes:
    """Return a file whose tag (or box) makes its stored pixels into `quadrants(size)`."""
    turn = _STORED[tag]
    stored = quadrants(size) if turn is None else quadrants(size).transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = tag
    return saved(stored, format_, exif=exif.tobytes(), **options)


def stands_upright(rendering: Rendering, name: str) -> bool:
    """Tell by its pixels whether a thumbnail shows `quadrants` as they were drawn."""
    places = {(0.25, 0.25): RED, (0.25, 0.75): RED, (0.75, 0.25): BLUE, (0.75, 0.75): GREEN}
    return all(near(colour(rendering, name, at), wanted, 40) for at, wanted in places.items())


def matrix_profile(
    red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...], gamma: float
) -> bytes:
    """Return an ICC profile (version 2) of a display: three primaries in XYZ under D50, one gamma."""
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + bytes(2)
    tags = [(b"wtpt", _xyz((0.9642, 1.0, 0.8249)))]
    tags += [(name, _xyz(value)) for name, value in ((b"rXYZ", red), (b"gXYZ", green), (b"bXYZ", blue))]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def ink_profile() -> bytes:
    """Return a CMYK profile of an odd press: only black ink is visible on its paper."""
    ramp = bytes(range(256))
    grid = b"".join(bytes((0 if index & 1 else 255, 128, 128)) for index in range(16))  # black varies fastest
    identity = struct.pack(">9i", *(65536 if at % 4 == 0 else 0 for at in range(9)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + ramp * 4 + grid + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", [(b"wtpt", _xyz((0.9642, 1.0, 0.8249))), (b"A2B0", table)])


def _xyz(value: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(part * 65536) for part in value))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    tags = [(b"desc", b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)), *tags]
    at, rows, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags:
        rows += name + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02400000, kind, space, connection)
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + rows + body

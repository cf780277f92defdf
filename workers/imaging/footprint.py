"""Say how large a picture may be so that its decoder stays within the child's memory.

Decoders differ by a factor of thirty: a baseline JPEG is decoded at the scale of its thumbnail, a JPEG 2000
of one level wants 28 bytes for each pixel. So a limit in pixels alone would either refuse harmless pictures
or let a decoder run into the wall. The numbers are measured (`docs/reference/pictures.md`) as growth of the
address space, in the most expensive mode that a format has, and rounded up by about a fifth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from workers.imaging.limits import Limits
from workers.imaging.variants import Spec

_BASE_BYTES = 80 * 2**20  # the interpreter and the decoders
_VARIANT_BYTES = 20  # for each pixel of the largest variant: its planes, what they become, and an encoder


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a decoder holds at its peak: bytes for each pixel, and how often it holds the file itself."""

    pixel: float
    file: float


FOOTPRINTS = {
    "JPEG": Footprint(1, 1.2),
    "progressive JPEG": Footprint(10, 1.2),  # keeps every coefficient, at whatever scale it is decoded
    "PNG": Footprint(12, 1.2),
    "GIF": Footprint(11, 1.2),
    "BMP": Footprint(11, 1.2),
    "ICO": Footprint(12, 1.2),
    "TIFF": Footprint(19, 1.2),  # a strip may be as high as the picture and is held beside it
    "WEBP": Footprint(24, 3.2),
    "AVIF": Footprint(22, 3.2),
    "HEIF": Footprint(22, 3.2),
    "JPEG2000": Footprint(34, 1.2),
    "deep PNG": Footprint(16, 2.4),  # decoded twice, for the high bytes and for the low ones
    "deep AVIF": Footprint(28, 6.4),  # and one that is cropped, which is copied
    "deep HEIF": Footprint(30, 6.4),
}


def most_pixels(kind: str, *, file_bytes: int, specs: Sequence[Spec], limits: Limits) -> int:
    """Return how many pixels a file of this kind (a key of FOOTPRINTS) may have to be rendered for `specs`."""
    footprint = FOOTPRINTS[kind]
    variants = _VARIANT_BYTES * max(spec.width * spec.height for spec in specs)
    room = limits.memory_bytes - _BASE_BYTES - variants - footprint.file * file_bytes
    return max(0, min(limits.pixels, int(room / footprint.pixel)))


def kind_of(picture: Image.Image, *, is_deep: bool = False) -> str:
    """Return the key of FOOTPRINTS for a picture that was opened and not yet decoded.

    `is_deep` says that it will be taken apart in sixteen bits, or cropped.
    """
    if is_deep and f"deep {picture.format}" in FOOTPRINTS:
        return f"deep {picture.format}"
    if picture.format in ("JPEG", "MPO"):
        return "progressive JPEG" if picture.info.get("progressive") else "JPEG"
    return picture.format or ""


def webp_pixels(data: bytes) -> int | None:
    """Return the pixels that a WebP claims, without its decoder, which takes their memory as it is opened."""
    kind, claim = data[12:16], data[20:30]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(claim[at : at + 3], "little") for at in (4, 7))
    elif kind == b"VP8L":
        bits = int.from_bytes(claim[1:5], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(claim[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    else:
        return None
    return width * height

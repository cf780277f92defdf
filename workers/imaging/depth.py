"""Take an HDR picture apart into channels with all the bits that a decoder at hand gives.

PQ and HLG spread ten bits over far more light than a screen shows: cut to eight, an even sky shows steps. Pillow
holds eight bits of colour only. The HEIF library hands over sixteen; of a PNG of sixteen bits Pillow is asked
for the high bytes and then for the low ones. Its AVIF decoder has eight, and computes them by a fast path that cuts two
bits off first, which tints every white; so it is told of a matrix for which it has only its exact path, and what
that does to the colours is undone here.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import pillow_heif
from PIL import AvifImagePlugin, Image, PngImagePlugin

from workers.imaging.cicp import PQ, Cicp
from workers.imaging.hdr import mixed
from workers.imaging.isobmff import Rectangle
from workers.imaging.pixels import full_scale, resizable
from workers.imaging.profiles import Matrix, inverted, multiplied, to_xyz

_LANCZOS = Image.Resampling.LANCZOS
_GAP = 1.5  # as for any picture that is much larger than its thumbnail
# The shares of red and blue in brightness, by the number of the matrix (H.273). SMPTE 240M is the exact path's.
_EXACT, _BY_PRIMARIES = 7, 12
_MATRICES = {
    1: (0.2126, 0.0722),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
_OTHER_END = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}


def is_decoded_by_planes(picture: Image.Image) -> bool:
    """Tell whether `planes_of` decodes the file of an HDR picture itself, so that it need not be loaded."""
    return picture.format == "AVIF" or (picture.format == "HEIF" and picture.info.get("bit_depth", 8) > 8)


def planes_of(
    picture: Image.Image,
    data: bytes,
    *,
    size: tuple[int, int],
    matrix_at: int | None = None,
    crop: Rectangle | None = None,
) -> list[Image.Image]:
    """Return grey, or red, green and blue, and transparency last where there is some: mode F, 0 to 1.

    `matrix_at` and `crop` are what the container of an AVIF says of it.
    """
    if picture.format == "AVIF":
        return _planes_of_avif(data, size, matrix_at, crop)
    if is_decoded_by_planes(picture):
        return list(_sixteen_bits_of_heif(data, size))
    low = _low_bytes_of_png(picture, data)
    return list(_eight_bits(picture, size) if low is None else _put_together(picture, low, size))


def _resized(plane: Image.Image, white: float, size: tuple[int, int]) -> Image.Image:
    if plane.mode != "I;16":
        plane = plane.convert("F")
    if plane.size != size:
        plane = plane.resize(size, _LANCZOS, reducing_gap=_GAP if plane.mode == "F" else None)
    return plane.convert("F").point(lambda value: value * (1 / white) + 0.0)


def _eight_bits(picture: Image.Image, size: tuple[int, int]) -> Iterator[Image.Image]:
    white = full_scale(picture)
    picture = resizable(picture)
    if white is not None and picture.mode != "LA":
        yield _resized(picture, white, size)
        return
    if picture.mode not in ("L", "LA", "RGB", "RGBA"):
        picture = picture.convert("RGB")
    for band in picture.getbands():
        yield _resized(picture.getchannel(band), 255.0, size)


def _planes_of_avif(
    data: bytes, size: tuple[int, int], at: int | None, crop: Rectangle | None
) -> list[Image.Image]:
    true = None if at is None else _shares(data, at)
    if at is not None and true is not None:
        data = data[:at] + _EXACT.to_bytes(2, "big") + data[at + 2 :]
    with AvifImagePlugin.AvifImageFile(io.BytesIO(data)) as decoded:
        decoded.load()
        planes = list(_eight_bits(decoded if crop is None else decoded.crop(crop), size))
    if true is not None and len(planes) >= 3:
        mended = multiplied(_rgb_from_planes(*true), inverted(_rgb_from_planes(*_MATRICES[_EXACT])))
        planes[:3] = mixed(planes[:3], mended)
    return planes


def _shares(data: bytes, at: int) -> tuple[float, float] | None:
    """Return the shares of red and blue in brightness, by the numbers of a file; None where they are not known."""
    primaries, _, matrix = struct.unpack_from(">HHH", data, at - 4)
    if matrix == _BY_PRIMARIES:
        red, _, blue = to_xyz(Cicp(primaries, PQ).space.primaries)[1]
        return red, blue
    return _MATRICES.get(matrix)


def _rgb_from_planes(red: float, blue: float) -> Matrix:
    """Return the matrix from brightness and two differences of colour, by the shares of red and blue in brightness."""
    green = 1 - red - blue
    return (
        (1, 0, 2 * (1 - red)),
        (1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green),
        (1, 2 * (1 - blue), 0),
    )


def _sixteen_bits_of_heif(data: bytes, size: tuple[int, int]) -> Iterator[Image.Image]:
    file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    decoded = file[file.primary_index]
    bits = int(str(decoded.info["bit_depth"]))
    samples = memoryview(decoded.data).cast("H")
    channels = len(samples) // (decoded.size[0] * decoded.size[1])
    white = float((2**bits - 1) << (16 - bits))
    for at in range(channels):
        yield _resized(_sixteen_bits(decoded.size, samples[at::channels].tobytes()), white, size)


def _low_bytes_of_png(picture: Image.Image, data: bytes) -> Image.Image | None:
    """Return what Pillow cut off from a PNG of sixteen bits in colour; None for any other picture."""
    if not isinstance(picture, PngImagePlugin.PngImageFile) or "transparency" in picture.info:
        return None
    again = PngImagePlugin.PngImageFile(io.BytesIO(data))
    other_end = _OTHER_END.get(str(again.tile[0].args)) if again.tile else None
    if other_end is None:
        return None
    again.tile = [again.tile[0]._replace(args=other_end)]
    again.load()
    return again


def _put_together(high: Image.Image, low: Image.Image, size: tuple[int, int]) -> Iterator[Image.Image]:
    for band in high.getbands():
        both = bytearray(2 * high.width * high.height)
        both[0::2] = low.getchannel(band).tobytes()
        both[1::2] = high.getchannel(band).tobytes()
        yield _resized(_sixteen_bits(high.size, both), 65535.0, size)


def _sixteen_bits(size: tuple[int, int], samples: bytes | bytearray) -> Image.Image:
    """Return a plane over samples with the low byte first, which are not copied."""
    return Image.frombuffer("I;16", size, samples, "raw", "I;16", 0, 1)

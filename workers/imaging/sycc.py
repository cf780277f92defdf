"""Put right the colour of a JPEG 2000 in sYCC whose sides are odd and whose colour is stored at half of them.

Pillow takes a row of colour for one value shorter than it is and a plane for one row shorter: each row starts a
value further to the left than the one above, the second plane within the first, and the picture shows stripes. As it then makes red, green and blue
of them, nothing could be mended any more; so it is told that they are these already, and the rows are laid out
anew here.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass

from PIL import Image

_SIZ = b"\xff\x4f\xff\x51"
_SYCC, _SRGB = b"colr\x01\x00\x00\x00\x00\x00\x12", b"colr\x01\x00\x00\x00\x00\x00\x10"
_NEAREST = Image.Resampling.NEAREST


@dataclass(frozen=True, slots=True)
class HalfColour:
    """A picture in sYCC with less colour: its size, that of its tiles, and its rows for one row of colour."""

    size: tuple[int, int]
    tile: tuple[int, int]
    down: int

    def halvings(self, wanted: int) -> int:
        """Return how often it may be halved in decoding so that its rows and columns of colour stay whole."""
        return next(times for times in range(wanted, -1, -1) if not times or self._stays_even(times))

    @property
    def is_odd(self) -> bool:
        return not self._stays_even(0)

    def _stays_even(self, times: int) -> bool:
        even = self.size[0] % (2 << times), self.size[1] % (self.down << times)
        return even == (0, 0)


def half_colour(data: bytes) -> HalfColour | None:
    """Return what is to be known of such a picture; None for any other."""
    at = data.find(_SIZ)
    if _SYCC not in data[:4096] or at < 0 or len(data) < at + 51:
        return None
    width, height, left, top, tile_width, tile_height, tile_left, tile_top, count = struct.unpack_from(
        ">8IH", data, at + 8
    )
    steps = [tuple(data[each + 1 : each + 3]) for each in range(at + 42, at + 42 + 3 * min(count, 3), 3)]
    plain = not (left or top or tile_left or tile_top)
    if not plain or count != 3 or steps not in ([(1, 1), (2, 1), (2, 1)], [(1, 1), (2, 2), (2, 2)]):
        return None
    return HalfColour((width, height), (tile_width, tile_height), steps[1][1])


def said_to_be_rgb(data: bytes) -> bytes:
    """Return the file with its planes handed over as they are stored."""
    return data.replace(_SYCC, _SRGB, 1)


def laid_out_anew(picture: Image.Image, kind: HalfColour) -> Image.Image:
    """Return red, green and blue of a picture that was decoded as if it held them."""
    brightness, *colours = picture.split()
    (width, height), (across, down) = picture.size, kind.tile
    for top, left in itertools.product(range(0, height, down), range(0, width, across)):
        box = (left, top, min(width, left + across), min(height, top + down))
        if (box[2] - left) % 2 or (box[3] - top) % kind.down:
            for number, colour in enumerate(colours):
                colour.paste(_straight(colour.crop(box), kind.down, number), box)
    return Image.merge("YCbCr", (brightness, *colours)).convert("RGB")


def _straight(tile: Image.Image, down: int, number: int) -> Image.Image:
    """Return the first or second plane of colour of a tile with its rows in their places.

    What Pillow did not read of the last rows is made up of the row above them.
    """
    short, full, rows = tile.width // 2, -(-tile.width // 2), -(-tile.height // down)
    stored = tile.transform(
        (short, rows), Image.Transform.AFFINE, (2, 0, -0.5, 0, down, 0.5 - down / 2), _NEAREST
    ).tobytes()
    stored = stored[number * (full * rows - short * (tile.height // down)) :]
    whole = max(1, len(stored) // full) * full
    last = stored[max(0, whole - full) : whole].ljust(full, b"\x80")
    stored = stored[:whole].ljust(full, b"\x80") + last * rows
    straight = Image.frombytes("L", (full, rows), stored[: full * rows])
    doubled = straight.resize((2 * full, rows * down), Image.Resampling.BILINEAR)
    return doubled.crop((0, 0, *tile.size))

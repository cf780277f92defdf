"""Hold a picture while it is made smaller: brightness at full size, colour at half.

Every thumbnail that is a JPEG keeps one value of colour for four of brightness, as nearly every camera's
JPEG does already. Resizing three full planes spends two thirds of the work on what the encoder throws away;
resizing brightness with the best filter and colour at half size with a plain one costs half of it, and no
difference in brightness remains. So a JPEG is decoded to brightness and colour and never becomes RGB.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageFilter

_FILTER = Image.Resampling.LANCZOS
_COLOUR_FILTER = Image.Resampling.HAMMING


@dataclass(frozen=True, slots=True)
class Planes:
    """Brightness, and two planes of colour that are at most as large (none for a grey picture)."""

    brightness: Image.Image
    colour: tuple[Image.Image, ...]

    @classmethod
    def of(cls, picture: Image.Image) -> Planes:
        """Take a picture of mode L, RGB or YCbCr apart."""
        if picture.mode == "L":
            return cls(picture, ())
        brightness, *colour = (picture if picture.mode == "YCbCr" else picture.convert("YCbCr")).split()
        return cls(brightness, tuple(colour))

    @property
    def size(self) -> tuple[int, int]:
        return self.brightness.size

    def resized(self, size: tuple[int, int], *, gap: float | None = None) -> Planes:
        """Return the picture at a smaller size; `gap` is Pillow's `reducing_gap`, for brightness."""
        if size == self.size:
            return self
        smaller = self.brightness.resize(size, _FILTER, reducing_gap=gap)
        return Planes(smaller, tuple(_halved(plane, size) for plane in self.colour))

    def transposed(self, turn: Image.Transpose) -> Planes:
        """Return the picture turned or mirrored."""
        return Planes(self.brightness.transpose(turn), tuple(plane.transpose(turn) for plane in self.colour))

    def sharpened(self, amount: float) -> Planes:
        """Return the picture with livelier edges; colour has none worth it."""
        sharpen = ImageFilter.UnsharpMask(radius=1, percent=round(amount * 100), threshold=2)
        return Planes(self.brightness.filter(sharpen), self.colour)

    def whole(self) -> Image.Image:
        """Return one picture, mode YCbCr or L, as a JPEG takes it."""
        if not self.colour:
            return self.brightness
        return Image.merge("YCbCr", (self.brightness, *(_doubled(plane, self.size) for plane in self.colour)))


def _halved(plane: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a plane of colour at half of `size`, or as it is where it is smaller already."""
    wanted = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    if plane.width <= wanted[0] and plane.height <= wanted[1]:
        return plane
    factor = min(plane.width // wanted[0], plane.height // wanted[1])
    if factor > 1:
        plane = plane.reduce(factor)
    return plane.resize(wanted, _COLOUR_FILTER)


def _doubled(plane: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a plane of half the size at full size, each value four times: what the encoder averages again."""
    if plane.size == size:
        return plane
    even = (2 * plane.width, 2 * plane.height)
    if even != (size[0] + size[0] % 2, size[1] + size[1] % 2):
        return plane.resize(size, Image.Resampling.BILINEAR)
    doubled = plane.resize(even, Image.Resampling.NEAREST)
    return doubled if even == size else doubled.crop((0, 0, *size))

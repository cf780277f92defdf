"""Say in a few characters what a picture looks like: to find its likes, and to paint its place before it comes."""

from __future__ import annotations

from PIL import Image

_ACROSS, _DOWN = 9, 8
_COLOURS = 5


def dhash(small: Image.Image) -> str:
    """Return 16 hexadecimal digits that hardly change when a picture is resized or saved anew (dHash).

    One bit for each two neighbours in a grid of 9 x 8: whether it grows darker from left to right. Pictures
    of which few bits differ look alike.
    """
    grey = small.convert("L").resize((_ACROSS, _DOWN), Image.Resampling.BOX).tobytes()
    bits = 0
    for row in range(_DOWN):
        for column in range(_ACROSS - 1):
            at = row * _ACROSS + column
            bits = bits << 1 | (grey[at] > grey[at + 1])
    return f"{bits:016x}"


def dominant_colour(small: Image.Image) -> str:
    """Return `#rrggbb`: of the five colours that stand best for the picture the one that covers most of it."""
    tiny = small.convert("RGB")
    tiny.thumbnail((32, 32), Image.Resampling.BOX)
    reduced = tiny.quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    counted = reduced.histogram()[:_COLOURS]
    at = 3 * counted.index(max(counted))
    red, green, blue = (reduced.getpalette() or [0] * (at + 3))[at : at + 3]
    return f"#{red:02x}{green:02x}{blue:02x}"

"""Describe a picture in some twenty-five bytes, to be shown blurred until the thumbnail has come (ThumbHash).

The format is public: the lowest cosine terms of luminance and of two colour differences, quantised to four
bits. Written here for opaque pictures, in plain Python over at most 20 x 20 pixels.
"""

from __future__ import annotations

import base64
import functools
import math
from operator import mul

from PIL import Image

_EDGE = 20  # the finest term has three and a half waves across, so more pixels would tell nothing more
_NOTHING = 1e-9  # what floats leave of a term that is none, in a picture of one colour


def placeholder_of(picture: Image.Image) -> str:
    """Return the ThumbHash of an RGB or L picture as base64 text."""
    small = picture.convert("RGB")
    small.thumbnail((_EDGE, _EDGE), Image.Resampling.BOX)
    return base64.b64encode(thumbhash(small.size, small.tobytes())).decode("ascii")


def thumbhash(size: tuple[int, int], rgb: bytes) -> bytes:
    """Return the hash of opaque pixels, three bytes each, row by row; neither side longer than 100."""
    width, height = size
    luminance, yellow_blue, red_green = [], [], []
    for at in range(0, len(rgb), 3):
        red, green, blue = rgb[at] / 255, rgb[at + 1] / 255, rgb[at + 2] / 255
        luminance.append((red + green + blue) / 3)
        yellow_blue.append((red + green) / 2 - blue)
        red_green.append(red - green)
    longest = max(width, height)
    across, down = max(1, _round(7 * width / longest)), max(1, _round(7 * height / longest))
    l_mean, l_terms, l_scale = _terms(luminance, size, max(3, across), max(3, down))
    p_mean, p_terms, p_scale = _terms(yellow_blue, size, 3, 3)
    q_mean, q_terms, q_scale = _terms(red_green, size, 3, 3)

    landscape = width > height
    head = (
        _round(63 * l_mean)
        | _round(31.5 + 31.5 * p_mean) << 6
        | _round(31.5 + 31.5 * q_mean) << 12
        | _round(31 * l_scale) << 18
    )
    shape = (
        (down if landscape else across)
        | _round(63 * p_scale) << 3
        | _round(63 * q_scale) << 9
        | landscape << 15
    )
    nibbles = [_round(15 * term) for term in (*l_terms, *p_terms, *q_terms)]
    if len(nibbles) % 2:
        nibbles.append(0)
    packed = bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    return head.to_bytes(3, "little") + shape.to_bytes(2, "little") + packed


def _terms(
    channel: list[float], size: tuple[int, int], across: int, down: int
) -> tuple[float, list[float], float]:
    """Return mean, the triangle of low cosine terms brought into 0 to 1, and what they were divided by."""
    width, height = size
    columns, rows = _cosines(width, across), _cosines(height, down)
    by_row = [
        [sum(map(mul, channel[y * width : (y + 1) * width], column)) for y in range(height)]
        for column in columns
    ]
    mean, terms = 0.0, []
    for v in range(down):
        for u in range(across):
            if u * down >= across * (down - v):
                break
            term = sum(map(mul, by_row[u], rows[v])) / (width * height)
            if u or v:
                terms.append(term)
            else:
                mean = term
    scale = max(map(abs, terms), default=0.0)
    if scale < _NOTHING:
        return mean, [0.0] * len(terms), 0.0
    return mean, [0.5 + 0.5 * term / scale for term in terms], scale


@functools.lru_cache(maxsize=64)
def _cosines(length: int, count: int) -> list[list[float]]:
    return [[math.cos(math.pi / length * term * (at + 0.5)) for at in range(length)] for term in range(count)]


def _round(value: float) -> int:
    """Round half up, as every reader of the format expects; what floats add to a tie decides nothing."""
    return math.floor(round(value, 6) + 0.5)

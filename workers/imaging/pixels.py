"""Bring the modes that a resampler cannot work on into ones it can, without losing light or shadow.

Palettes and bitmaps cannot be averaged, so they are widened before the resize. Sixteen bits and floats can,
so they are resized as they are and scaled on the small picture: Pillow's own conversion to eight bits cuts
everything above 255 to white.
"""

from __future__ import annotations

import math

from PIL import Image

_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_BITS_PER_SAMPLE = 258
# Of sixteen bits only the machine's own order can be resized.
_AVERAGED = {"1": "L", "P": "RGB", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"} | dict.fromkeys(
    ("I;16B", "I;16L", "I;16N"), "I"
)


def resizable(picture: Image.Image) -> Image.Image:
    """Return `picture` in a mode that can be averaged (alpha kept)."""
    if picture.mode == "I;16" and isinstance(picture.info.get("transparency"), int):
        return _with_hidden_grey(picture, picture.info["transparency"])
    if "transparency" in picture.info and picture.mode in ("1", "L", "P", "RGB"):
        return picture.convert("RGBA")
    if picture.mode == "P" and picture.im.getpalettemode() == "RGBA":
        return picture.convert("RGBA")
    wanted = _AVERAGED.get(picture.mode)
    return picture if wanted is None else picture.convert(wanted)


def full_scale(picture: Image.Image) -> float | None:
    """Return the value that means white in a picture of more than eight bits; None for all others."""
    if picture.mode not in _WIDE:
        return None
    if picture.mode.startswith("I;16"):
        return float(2 ** _bits(picture) - 1)
    extrema = picture.getextrema()
    top = max((float(value) for value in extrema if isinstance(value, int | float)), default=255.0)
    if not math.isfinite(top) or top <= 0:
        return 255.0
    # Files of integers and floats do not say what white is; these are the three ranges in use.
    usual = (1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)
    return next((white for white in usual if top <= white), top)


def eight_bits(picture: Image.Image, white: float | None) -> Image.Image:
    """Return the (small) picture in eight bits a channel, `white` becoming 255."""
    if white is None:
        return picture
    floats = picture.convert("I").convert("F") if picture.mode.startswith("I;16") else picture.convert("F")
    # Half a step up, because the conversion cuts the fraction off.
    return floats.point(lambda value: value * (255.0 / white) + 0.5).convert("L")


def _with_hidden_grey(picture: Image.Image, hidden: int) -> Image.Image:
    """Return sixteen grey bits, one value of which is transparent, in eight bits with transparency."""
    seen = [255] * 65536
    seen[min(hidden, 65535)] = 0
    return Image.merge("LA", (eight_bits(picture, 65535.0), picture.convert("I").point(seen, "L")))


def _bits(picture: Image.Image) -> int:
    """Return the depth that the file declares: twelve bits in a TIFF are not stretched to sixteen."""
    tags = getattr(picture, "tag_v2", None)
    try:
        bits = tags.get(_BITS_PER_SAMPLE, (16,))[0] if tags is not None else 16
    except (TypeError, IndexError, AttributeError):
        return 16
    return bits if isinstance(bits, int) and 8 < bits <= 16 else 16

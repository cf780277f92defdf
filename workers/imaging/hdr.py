"""Bring an HDR picture (PQ or HLG, ITU-R BT.2100), or one of linear light, to what a plain screen shows.

Reference white, 203 nits (BT.2408), becomes the white of sRGB. What is brighter is rolled off as BT.2390 says,
from the brightest light that this very picture has: a still is known whole, so none is darkened for light it
does not hold. The roll-off works on the largest of the three channels, so that no colour changes its hue.

Computed in floats by Pillow, row by row in strips, on the picture at the size of its largest thumbnail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image, ImageMath

from workers.imaging.cicp import SRGB, Space
from workers.imaging.profiles import Matrix, between

_WHITE_NITS = 203.0
_PQ_NITS, _HLG_NITS = 10_000.0, 1_000.0
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073  # of HLG
_E = 2.718281828459045
_STRIP = 2**17  # pixels: half a megabyte for each plane of floats
_PROBE_EDGE = 256
_PEAK_SHARE = 0.999  # a glint of fewer pixels may turn white

Plane = Image.Image
_Terms = dict[str, Any]  # what a formula is handed: planes, and the functions of ImageMath


def sdr(planes: Sequence[Plane], space: Space) -> Image.Image:
    """Return three planes (mode F, 0 to 1) of a space as a picture in sRGB; one plane as a grey one."""
    size = planes[0].size
    mode = "RGB" if len(planes) == 3 else "L"
    probe = (min(size[0], _PROBE_EDGE), min(size[1], _PROBE_EDGE))
    light = _light([plane.resize(probe, Image.Resampling.NEAREST) for plane in planes], space)
    roll_off = _roll_off(1.0 if space.hdr is None else _peak(light))
    picture = Image.new(mode, size)
    rows = max(1, _STRIP // size[0])
    for top in range(0, size[1], rows):
        box = (0, top, size[0], min(size[1], top + rows))
        strip = [_shown(plane) for plane in roll_off(_light([each.crop(box) for each in planes], space))]
        picture.paste(Image.merge(mode, strip) if mode == "RGB" else strip[0], box)
    return picture


def _light(planes: Sequence[Plane], space: Space) -> list[Plane]:
    """Return linear light in the primaries of sRGB, reference white being 1; negative where beyond them."""
    if space.hdr == "PQ":
        linear = [_computed(_pq_light, a=plane) for plane in planes]
    elif space.hdr is None:
        exponent = space.gamma or 1.0
        linear = [_computed(lambda it: it["max"](it["a"], 0.0) ** exponent, a=plane) for plane in planes]
    else:
        scene = [_computed(_hlg_scene, a=plane) for plane in planes]
        red, green, blue = scene if len(scene) == 3 else scene * 3
        shine = _computed(_hlg_shine, r=red, g=green, b=blue)
        linear = [_computed(lambda it: it["a"] * it["s"], a=plane, s=shine) for plane in scene]
    return linear if len(linear) == 1 else mixed(linear, between(space.primaries, SRGB))


def mixed(planes: Sequence[Plane], matrix: Matrix) -> list[Plane]:
    """Return three planes multiplied by a matrix."""
    red, green, blue = planes

    def row_of(k: tuple[float, float, float]) -> Plane:
        return _computed(lambda it: it["r"] * k[0] + it["g"] * k[1] + it["b"] * k[2], r=red, g=green, b=blue)

    return [row_of(row) for row in matrix]


def _pq_light(it: _Terms) -> Any:
    root = it["max"](it["a"], 0.0) ** (1 / _M2)
    return (it["max"](root - _C1, 0.0) / (_C2 - root * _C3)) ** (1 / _M1) * (_PQ_NITS / _WHITE_NITS)


def _hlg_scene(it: _Terms) -> Any:
    value = it["max"](it["a"], 0.0)
    low = it["min"](value, 0.5)
    high = (_E ** ((it["max"](value, 0.5) - _C) / _A) + _B) / 12.0
    # At 0.5 the two branches meet at a twelfth.
    return low * low / 3.0 + high - 1 / 12


def _hlg_shine(it: _Terms) -> Any:
    """Return by what a screen of 1,000 nits multiplies the light of the scene."""
    luminance = it["r"] * 0.2627 + it["g"] * 0.6780 + it["b"] * 0.0593
    return it["max"](luminance, 1e-9) ** 0.2 * (_HLG_NITS / _WHITE_NITS)


def _peak(light: Sequence[Plane]) -> float:
    """Return the brightest light of a picture, but for a glint."""
    brightest = _brightest(light)
    values = sorted(memoryview(brightest.tobytes()).cast("f"))
    return max(1.0, values[int((len(values) - 1) * _PEAK_SHARE)])


def _brightest(light: Sequence[Plane]) -> Plane:
    if len(light) == 1:
        return light[0]
    red, green, blue = light
    return _computed(lambda it: it["max"](it["max"](it["r"], it["g"]), it["b"]), r=red, g=green, b=blue)


def _roll_off(peak: float) -> Callable[[Sequence[Plane]], Sequence[Plane]]:
    """Return what maps light up to `peak` into light up to 1."""
    if peak <= 1.01:
        return lambda light: light
    scale = _pq_value(peak)
    top = _pq_value(1.0) / scale
    knee = 1.5 * top - 0.5

    def factor(it: _Terms) -> Any:
        bright = it["max"](it["a"], 1e-6)
        power = (bright * (_WHITE_NITS / _PQ_NITS)) ** _M1
        value = it["min"](((power * _C2 + _C1) / (power * _C3 + 1.0)) ** _M2 / scale, 1.0)
        t = it["max"](value - knee, 0.0) / (1.0 - knee)
        square, cube = t * t, t * t * t
        curve = (
            (cube * 2.0 - square * 3.0 + 1.0) * knee
            + (cube - square * 2.0 + t) * (1.0 - knee)
            + (square * 3.0 - cube * 2.0) * top
        )
        # Below the knee everything stays as it is.
        mapped = it["min"](value, knee) + it["max"](curve - knee, 0.0)
        root = (mapped * scale) ** (1 / _M2)
        wanted = (it["max"](root - _C1, 0.0) / (_C2 - root * _C3)) ** (1 / _M1) * (_PQ_NITS / _WHITE_NITS)
        return wanted / bright

    def mapped(light: Sequence[Plane]) -> Sequence[Plane]:
        by = _computed(factor, a=_brightest(light))
        return [_computed(lambda it: it["a"] * it["f"], a=plane, f=by) for plane in light]

    return mapped


def _pq_value(light: float) -> float:
    power = float((light * _WHITE_NITS / _PQ_NITS) ** _M1)
    return float(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


def _shown(light: Plane) -> Plane:
    """Return linear light as eight bits of sRGB."""

    def value(it: _Terms) -> Any:
        linear = it["min"](it["max"](it["a"], 0.0), 1.0)
        dark = it["min"](linear, 0.0031308)
        bright = it["max"](linear, 0.0031308) ** (1 / 2.4)
        # The two branches meet at 0.04045; half a step up, because the conversion cuts the fraction off.
        return (dark * 12.92 + bright * 1.055 - (0.055 + 0.04045)) * 255.0 + 0.5

    return _computed(value, a=light).convert("L")


def _computed(formula: Callable[[_Terms], Any], **planes: Plane) -> Plane:
    found: Plane = ImageMath.lambda_eval(formula, **planes)
    return found

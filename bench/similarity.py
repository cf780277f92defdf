"""Judge a thumbnail: SSIM on brightness, against the source decoded whole and resized once by exact Lanczos.

The reference is computed in floating point, from the pixels that Pillow decodes at full size, turned upright,
brought to sRGB and laid on white: the same for every engine.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

Plane = Any  # a two-dimensional array of floats
_WEIGHTS = (0.299, 0.587, 0.114)


def references(data: bytes, edges: tuple[int, ...]) -> dict[int, Plane]:
    """Return the brightness of the picture at each long edge."""
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        profile = opened.info.get("icc_profile")
        picture = ImageOps.exif_transpose(opened)
    picture = _srgb(picture, profile)
    planes = [Image.fromarray(np.asarray(band, dtype=np.float32)) for band in picture.split()]
    return {edge: _brightness([_resized(plane, edge) for plane in planes]) for edge in edges}


def brightness(data: bytes) -> Plane:
    """Return the brightness of an encoded thumbnail."""
    with Image.open(io.BytesIO(data)) as picture:
        return _brightness([np.asarray(band, dtype=np.float64) for band in picture.convert("RGB").split()])


def ssim(one: Plane, other: Plane) -> float:
    """Return the mean structural similarity, with the usual Gaussian window of 11 pixels and sigma 1.5."""
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean, mean_other = _blurred(one), _blurred(other)
    variance = _blurred(one * one) - mean * mean
    variance_other = _blurred(other * other) - mean_other * mean_other
    covariance = _blurred(one * other) - mean * mean_other
    above = (2 * mean * mean_other + first) * (2 * covariance + second)
    below = (mean * mean + mean_other * mean_other + first) * (variance + variance_other + second)
    return float((above / below).mean())


def _srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    alpha = None
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
    if picture.mode.startswith(("I", "F")):
        raise ValueError("more than eight bits: the engines disagree about what white is")
    if picture.mode not in ("RGB", "CMYK", "L"):
        picture = picture.convert("RGB")
    if profile and picture.mode in ("RGB", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            wanted = ImageCms.createProfile("sRGB")
            changed = ImageCms.profileToProfile(picture, source, wanted, outputMode="RGB")
            picture = changed or picture
        except ImageCms.PyCMSError:
            pass
    picture = picture.convert("RGB")
    if alpha is not None:
        picture = Image.composite(picture, Image.new("RGB", picture.size, "white"), alpha)
    return picture


def _resized(plane: Image.Image, edge: int) -> Plane:
    longest = max(plane.size)
    if longest > edge:
        width, height = (max(1, round(side * edge / longest)) for side in plane.size)
        plane = plane.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(plane, dtype=np.float64).clip(0, 255)


def _brightness(bands: list[Plane]) -> Plane:
    return sum(weight * band for weight, band in zip(_WEIGHTS, bands, strict=True))


def _blurred(plane: Plane) -> Plane:
    for axis in (0, 1):
        length = min(11, plane.shape[axis])
        window = np.exp(-((np.arange(length) - length // 2) ** 2) / (2 * 1.5**2))
        window /= window.sum()
        kept = plane.shape[axis] - length + 1
        parts = (np.take(plane, range(at, at + kept), axis) * weight for at, weight in enumerate(window))
        plane = sum(parts)
    return plane

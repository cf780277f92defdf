"""Bring the small picture to sRGB or grey, opaque, eight bits: what every browser shows the same.

Done after the first resize, because there it costs a tenth. A profile that cannot be used (damaged, made
for another colour space, absurdly large) is ignored: the picture then counts as sRGB.
"""

from __future__ import annotations

import functools
import io

from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_MAX_PROFILE_BYTES = 8 * 2**20  # CMYK printing profiles reach 3 MB


def flat_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Return `picture` in mode RGB or L: profile applied, transparency laid on white."""
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    opaque = _srgb(_without_alpha(picture), profile)
    if alpha is None or alpha.getextrema() == (255, 255):
        return opaque
    return Image.composite(opaque, Image.new(opaque.mode, opaque.size, "white"), alpha)


def _without_alpha(picture: Image.Image) -> Image.Image:
    if picture.mode in ("LA", "RGBA"):
        return picture.convert("L" if picture.mode == "LA" else "RGB")
    return picture


def _srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if picture.mode == "YCbCr":
        picture = picture.convert("RGB")  # what its profile speaks of
    if profile and picture.mode in _SPACES and len(profile) <= _MAX_PROFILE_BYTES:
        try:
            transform = _transform(profile, picture.mode)
            if transform is not None:
                return transform.apply(picture)
        except Exception:  # noqa: BLE001, S110 - a broken profile raises anything; the picture is good without
            pass
    return picture if picture.mode in ("RGB", "L") else picture.convert("RGB")


@functools.lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from this profile to sRGB, or None where there is nothing to do.

    Kept by the profile's bytes: building one costs as much as using it, and cameras write the same few.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if source.profile.xcolor_space.strip() != _SPACES[mode]:
        return None
    transform = ImageCms.ImageCmsTransform(source, _srgb_profile(), mode, "RGB")
    if mode == "RGB" and _changes_nothing(transform):
        return None  # sRGB under whatever name: names lie, so the transform itself is asked
    return transform


def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = range(0, 256, 51)
    probe = Image.new("RGB", (36, 6))
    probe.putdata([(red, green, blue) for red in steps for green in steps for blue in steps])
    there, back = probe.tobytes(), transform.apply(probe).tobytes()
    return all(abs(before - after) <= 1 for before, after in zip(there, back, strict=True))

"""Bring the small picture to sRGB or grey: what every browser shows the same.

Done after the first resize, because there it costs a tenth. A profile that cannot be used (damaged, made
for another colour space, absurdly large) is ignored: the picture then counts as sRGB.
"""

from __future__ import annotations

import functools
import io

from PIL import Image, ImageCms

from workers.imaging.hdr import sdr
from workers.imaging.planes import Planes
from workers.imaging.profiles import grey_table
from workers.imaging.signals import Signal

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_COUNTS_AS = {"CMYK": "CMYK", "LAB": "Lab"} | dict.fromkeys(
    ("1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"), "grey"
)
_LONGEST_NAME = 100
_MAX_PROFILE_BYTES = 8 * 2**20  # CMYK printing profiles reach 3 MB


def srgb(picture: Image.Image, signal: Signal) -> tuple[Image.Image, Image.Image | None]:
    """Return `picture` in mode RGB or L with its colours brought to sRGB, and its transparency where it has some."""
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    if alpha is not None:
        picture = picture.convert("L" if picture.mode == "LA" else "RGB")
        if alpha.getextrema() == (255, 255):
            alpha = None
    return _srgb(picture, signal), alpha


def sdr_of(planes: list[Image.Image], signal: Signal) -> tuple[Image.Image, Image.Image | None]:
    """Return the planes of an HDR picture as one in mode RGB or L of sRGB, and its transparency."""
    alpha = _bytes_of(planes.pop()) if len(planes) in (2, 4) else None
    if alpha is not None and alpha.getextrema() == (255, 255):
        alpha = None
    if not signal.is_full_range:
        planes = [plane.point(lambda value: value * (255 / 219) + -16 / 219) for plane in planes]
    assert signal.space is not None  # noqa: S101 - only a picture whose space is known to be HDR comes here
    return sdr(planes, signal.space), alpha


def srgb_of_planes(planes: Planes, signal: Signal) -> Planes:
    """Return planes of sRGB; those whose profile changes nothing never become RGB."""
    profile = signal.profile_for("RGB")
    if not profile or len(profile) > _MAX_PROFILE_BYTES:
        return planes
    try:
        transform = _transform(profile, "RGB")
        return planes if transform is None else Planes.of(transform.apply(planes.whole().convert("RGB")))
    except Exception:  # noqa: BLE001 - a broken profile raises anything; the picture is good without
        return planes


def laid_on(background: tuple[int, int, int], opaque: Image.Image, alpha: Image.Image) -> Image.Image:
    """Lay a picture with transparency on a colour."""
    if opaque.mode == "YCbCr" or (opaque.mode == "L" and len(set(background)) > 1):
        opaque = opaque.convert("RGB")
    colour = background[0] if opaque.mode == "L" else background
    return Image.composite(opaque, Image.new(opaque.mode, opaque.size, colour), alpha)


def colour_space(picture: Image.Image, signal: Signal) -> str | None:
    """Name the colour space of a file for people: what it says itself, else what it counts as."""
    if signal.name is not None:
        return signal.name
    if signal.space is not None and not signal.space.is_srgb:
        return signal.space.name
    profile = signal.profile
    if profile and len(profile) <= _MAX_PROFILE_BYTES:
        try:
            named = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except Exception:  # noqa: BLE001 - a broken profile raises anything; the picture is good without
            named = ""
        printable = "".join(letter for letter in named if letter.isprintable()).strip()
        if printable:
            return printable[:_LONGEST_NAME]
    return _COUNTS_AS.get(picture.mode, "sRGB")


def _srgb(picture: Image.Image, signal: Signal) -> Image.Image:
    if picture.mode == "YCbCr":
        picture = picture.convert("RGB")  # what its profile speaks of
    if not signal.is_full_range and picture.mode in ("RGB", "L"):
        picture = picture.point(
            [round(255 * min(1, max(0, (at - 16) / 219))) for at in range(256)] * len(picture.mode)
        )
    if picture.mode == "L" and signal.space is not None and signal.space.gamma is not None:
        return picture.point(grey_table(signal.space.gamma))
    profile = signal.profile_for(picture.mode)
    if profile and picture.mode in _SPACES and len(profile) <= _MAX_PROFILE_BYTES:
        try:
            transform = _transform(profile, picture.mode)
            if transform is not None:
                return transform.apply(picture)
        except Exception:  # noqa: BLE001, S110 - a broken profile raises anything; the picture is good without
            pass
    return picture if picture.mode in ("RGB", "L") else picture.convert("RGB")


def _bytes_of(plane: Image.Image) -> Image.Image:
    return plane.point(lambda value: value * 255.0 + 0.5).convert("L")


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

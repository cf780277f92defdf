"""Bring the small picture to sRGB or grey: what every browser shows the same.

Done after the first resize, because there it costs a tenth. A profile that cannot be used (damaged, made
for another colour space, absurdly large) is ignored: the picture then counts as sRGB.
"""

from __future__ import annotations

import functools
import io

from PIL import Image, ImageCms

from workers.imaging.planes import Planes

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_COUNTS_AS = {"CMYK": "CMYK", "LAB": "Lab"} | dict.fromkeys(
    ("1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"), "grey"
)
_LONGEST_NAME = 100
_MAX_PROFILE_BYTES = 8 * 2**20  # CMYK printing profiles reach 3 MB


def srgb(picture: Image.Image, profile: bytes | None) -> tuple[Image.Image, Image.Image | None]:
    """Return `picture` in mode RGB or L with its profile applied, and its transparency where it has some."""
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    if alpha is not None:
        picture = picture.convert("L" if picture.mode == "LA" else "RGB")
        if alpha.getextrema() == (255, 255):
            alpha = None
    return _srgb(picture, profile), alpha


def srgb_of_planes(planes: Planes, profile: bytes | None) -> Planes:
    """Return planes of sRGB; those whose profile changes nothing never become RGB."""
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


def colour_space(picture: Image.Image) -> str | None:
    """Name the colour space of a file for people: what its profile calls itself, else what it counts as."""
    profile = picture.info.get("icc_profile")
    if isinstance(profile, bytes) and 0 < len(profile) <= _MAX_PROFILE_BYTES:
        try:
            named = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except Exception:  # noqa: BLE001 - a broken profile raises anything; the picture is good without
            named = ""
        printable = "".join(letter for letter in named if letter.isprintable()).strip()
        if printable:
            return printable[:_LONGEST_NAME]
    return _COUNTS_AS.get(picture.mode, "sRGB")


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

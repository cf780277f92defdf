"""Turn a picture the way a person sees it.

Where the container of an AVIF or HEIC says how the picture is turned, its EXIF tag only repeats that; where the
container says nothing, the tag is all there is, and it counts.

The tag must be read *after* `load()`: Pillow's TIFF reader and the HEIF plugin turn the pixels themselves
and take the tag away only then; read before, it would turn such a picture twice. Only the values 2 to 8
mean anything, everything else (0, 9, text) is upright.
"""

from __future__ import annotations

import pillow_heif
from PIL import AvifImagePlugin, ExifTags, Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(loaded: Image.Image, *, container_turns: bool = False) -> int:
    """Return 1 to 8 for a picture that has been loaded; metadata that cannot be read means upright."""
    try:
        if isinstance(loaded, pillow_heif.HeifImageFile):
            # The plugin took the tag away; what the container says, its library has done.
            value = 1 if container_turns else loaded.info.get("original_orientation")
        else:
            value = None
            if isinstance(loaded, AvifImagePlugin.AvifImageFile) and not container_turns:
                value = _tag_of(
                    loaded._decoder.get_info()[4]
                )  # the plugin writes 1 over a tag that stands alone
            if value is None:
                value = loaded.getexif().get(ExifTags.Base.Orientation)  # that of XMP where there is no other
    except Exception:  # noqa: BLE001 - broken metadata raises anything, and the pixels may be fine
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _tag_of(exif: bytes | None) -> object:
    tags = Image.Exif()
    tags.load(exif or b"")
    return tags.get(ExifTags.Base.Orientation)


def turn_of(orientation: int) -> Image.Transpose | None:
    """Return how a picture is turned upright; None where it stands so already."""
    return _TURNS.get(orientation)


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Return the picture turned as its orientation asks."""
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return width and height as a person sees them."""
    return (size[1], size[0]) if orientation >= 5 else size

"""Turn the bytes of a picture into its thumbnails: one decode, each size from the next larger one.

The first resize goes straight to the largest size, and colour and orientation are mended on that small
picture, where they cost a tenth. Equal bytes and an equal recipe give equal thumbnails.
"""

from __future__ import annotations

import io

import PIL
import pillow_heif
from PIL import Image

from workers.imaging import exif
from workers.imaging.colour import flat_srgb
from workers.imaging.limits import Limits
from workers.imaging.orientation import orientation_of, upright, upright_size
from workers.imaging.pixels import eight_bits, full_scale, resizable
from workers.imaging.placeholder import placeholder_of
from workers.imaging.reading import Source, fitted, read
from workers.imaging.rendering import VARIANTS, Rendering, Variant

QUALITY = 80
# Resizing in two steps where the picture is much larger than its thumbnail. At 1.5 no difference is seen;
# between thumbnails it would save nothing and cost sharpness at 160 pixels.
_GAP = 1.5
_VERSION = 1


def recipe_id() -> str:
    """Name everything that decides the bytes of a thumbnail besides the source."""
    edges = "-".join(str(edge) for _, edge in VARIANTS)
    return f"{_VERSION}:{edges}:jpeg-q{QUALITY}:pillow-{PIL.__version__}:heif-{pillow_heif.__version__}"


def render(data: bytes, *, limits: Limits) -> Rendering:
    """Render a picture in this process. Raises Permanent with one of the codes of `refusals`.

    Limits on time and memory do not bind here; hostile bytes belong into a decoding child.
    """
    with read(data, edge=VARIANTS[0][1], limits=limits) as source:
        orientation = orientation_of(source.picture)
        largest = _largest(source, orientation)
        width, height = upright_size(source.size, orientation)
        return Rendering(
            format=source.format,
            content_type=source.content_type,
            width=width,
            height=height,
            taken_at=exif.taken_at(source.picture),
            camera=exif.camera(source.picture),
            gps=exif.gps(source.picture),
            placeholder=placeholder_of(largest),
            partial=source.partial,
            recipe=recipe_id(),
            variants=_cascade(largest, (width, height)),
        )


def _largest(source: Source, orientation: int) -> Image.Image:
    """Return the largest thumbnail: eight-bit sRGB or grey, opaque, upright, without any metadata."""
    profile = source.picture.info.get("icc_profile")
    white = full_scale(source.picture)
    picture = _resized(resizable(source.picture), fitted(source.size, VARIANTS[0][1]), gap=_GAP)
    picture = flat_srgb(eight_bits(picture, white), profile if isinstance(profile, bytes) else None)
    picture = upright(picture, orientation)
    picture.info.clear()  # or Pillow writes the source's comment into every thumbnail
    return picture


def _cascade(largest: Image.Image, source_size: tuple[int, int]) -> tuple[Variant, ...]:
    variants, picture = [], largest
    for name, edge in VARIANTS:
        picture = _resized(picture, fitted(source_size, edge), gap=None)
        variants.append(
            Variant(
                name=name,
                width=picture.width,
                height=picture.height,
                content_type="image/jpeg",
                data=_encoded(picture),
            )
        )
    return tuple(variants)


def _resized(picture: Image.Image, size: tuple[int, int], *, gap: float | None) -> Image.Image:
    if picture.size == size:
        return picture
    if picture.mode.startswith("I;16"):
        gap = None  # the first, coarse step knows no sixteen bits
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=gap)


def _encoded(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()

"""Turn the bytes of a picture into its thumbnails: one decode, each size from the next larger one.

The first resize goes straight to the largest size, and colour and orientation are mended on that small
picture, where they cost a tenth. Equal bytes and an equal recipe give equal thumbnails.
"""

from __future__ import annotations

from PIL import Image

from workers.imaging import exif
from workers.imaging.cascade import Cascade
from workers.imaging.colour import colour_space, sdr_of, srgb, srgb_of_planes
from workers.imaging.depth import planes_of
from workers.imaging.fingerprints import dhash, dominant_colour
from workers.imaging.frames import frames_of
from workers.imaging.limits import Limits
from workers.imaging.naming import recipe_id
from workers.imaging.orientation import orientation_of, turn_of, upright, upright_size
from workers.imaging.pixels import eight_bits, full_scale, resizable
from workers.imaging.placeholder import placeholder_of
from workers.imaging.planes import Planes
from workers.imaging.reading import Source, read
from workers.imaging.rendering import Rendering
from workers.imaging.variants import DEFAULT, Recipe, parse

# Resizing in two steps where the picture is much larger than its thumbnail, a plain mean first. Below a
# decoder that halved the picture already no difference is seen; elsewhere the step must leave 1.5 to the filter.
_GAP, _GAP_OF_JPEG = 1.5, 1.01


def render(data: bytes, *, limits: Limits, recipe: Recipe | None = None) -> Rendering:
    """Render a picture in this process. Raises Permanent with one of the codes of `refusals`.

    Limits on time and memory do not bind here; hostile bytes belong into a decoding child.
    """
    recipe = recipe or parse(DEFAULT)
    with read(data, specs=recipe.specs, limits=limits) as source:
        orientation = orientation_of(source.picture, container_turns=source.container.is_turned)
        width, height = size = upright_size(source.size, orientation)
        stored = upright_size(max(spec.scaled(size) for spec in recipe.specs), orientation)
        cascade = Cascade(size, *_largest(source, stored, orientation))
        variants, picture = cascade.variants(recipe.specs), source.picture
        small = cascade.smallest()
        return Rendering(
            format=source.format,
            content_type=source.content_type,
            width=width,
            height=height,
            orientation=orientation,
            color_space=colour_space(picture, source.signal),
            taken_at=exif.taken_at(picture),
            camera=exif.camera(picture),
            lens=exif.lens(picture),
            exposure=exif.exposure(picture),
            gps=exif.gps(picture),
            placeholder=placeholder_of(small),
            dhash=dhash(small),
            dominant_color=dominant_colour(small),
            partial=source.partial,
            recipe=recipe_id(recipe),
            variants=variants,
            # Last of all: counting walks from frame to frame, and what the picture tells changes on the way.
            frames=frames_of(picture, data),
        )


def _largest(
    source: Source, stored: tuple[int, int], orientation: int
) -> tuple[Image.Image | Planes, Image.Image | None]:
    """Return the picture at its largest size, eight bits, sRGB or grey, upright; and its transparency."""
    if source.signal.needs_depth:
        opaque, alpha = sdr_of(_deep_planes(source, stored), source.signal)
        return upright(opaque, orientation), None if alpha is None else upright(alpha, orientation)
    whole = source.picture if source.crop is None else source.picture.crop(source.crop)
    if whole.mode == "YCbCr":
        planes = Planes.of(whole).resized(stored, gap=_GAP_OF_JPEG)
        planes = srgb_of_planes(planes, source.signal)
        turn = turn_of(orientation)
        return (planes if turn is None else planes.transposed(turn)), None
    picture = resizable(whole)
    white = None if picture.mode == "LA" else full_scale(whole)
    if picture.size != stored:
        # The first, coarse step knows no sixteen bits.
        gap = None if picture.mode.startswith("I;16") else _GAP
        picture = picture.resize(stored, Image.Resampling.LANCZOS, reducing_gap=gap)
    opaque, alpha = srgb(eight_bits(picture, white), source.signal)
    return upright(opaque, orientation), None if alpha is None else upright(alpha, orientation)


def _deep_planes(source: Source, stored: tuple[int, int]) -> list[Image.Image]:
    at = source.container.matrix_at
    return planes_of(source.picture, source.data, size=stored, matrix_at=at, crop=source.crop)

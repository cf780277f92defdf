"""Make the variants of one picture, the largest first and each from the one before it.

There is one line of pictures for each thing that transparency is laid on, and a picture without transparency
has one line only, whatever its variants ask for.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageFilter

from workers.imaging.colour import laid_on
from workers.imaging.planes import Planes
from workers.imaging.rendering import Variant
from workers.imaging.variants import Spec

_LANCZOS = Image.Resampling.LANCZOS
_WHITE = (255, 255, 255)
_DESCRIBED_EDGE = 160
_INTEREST_EDGE = 64  # edges are looked for in so small a picture that noise and grain are gone


class Cascade:
    """One upright picture on its way down. `opaque` is RGB or L or planes of it, `alpha` its transparency."""

    def __init__(
        self, size: tuple[int, int], opaque: Image.Image | Planes, alpha: Image.Image | None = None
    ) -> None:
        self._size, self._alpha = size, alpha
        self._opaque = opaque if isinstance(opaque, Planes) else Planes.of(opaque)
        self._solid: dict[tuple[int, int, int] | None, Planes] = {}
        self._see_through: Image.Image | None = None

    def variants(self, specs: Sequence[Spec]) -> tuple[Variant, ...]:
        """Return the variants in the order of `specs`."""
        largest_first = sorted(specs, key=lambda spec: spec.scaled(self._size), reverse=True)
        made = {spec.name: self._variant(spec) for spec in largest_first}
        return tuple(made[spec.name] for spec in specs)

    def smallest(self) -> Image.Image:
        """Return a small RGB picture of the whole, laid on white: what the record's descriptions are made of."""
        planes = self._line(_WHITE)
        longest = max(planes.size)
        if longest > _DESCRIBED_EDGE:
            width, height = planes.size
            small = (width * _DESCRIBED_EDGE // longest, height * _DESCRIBED_EDGE // longest)
            planes = planes.resized((max(1, small[0]), max(1, small[1])))
        return planes.whole().convert("RGB")

    def _variant(self, spec: Spec) -> Variant:
        size = spec.scaled(self._size)
        if self._alpha is not None and spec.background is None:
            picture = self._transparent(size)
            if spec.sharpen:
                picture = picture.filter(ImageFilter.UnsharpMask(1, round(spec.sharpen * 100), 2))
        else:
            background = spec.background if self._alpha is not None else None
            planes = self._solid[background] = self._line(background).resized(size)
            picture = (planes.sharpened(spec.sharpen) if spec.sharpen else planes).whole()
        if spec.cover:
            picture = picture.crop(liveliest(picture, (spec.width, spec.height)))
        return Variant(
            name=spec.name,
            width=picture.width,
            height=picture.height,
            content_type=spec.content_type,
            data=encoded(picture, spec),
        )

    def _line(self, background: tuple[int, int, int] | None) -> Planes:
        if self._alpha is None:
            return self._solid.get(None, self._opaque)
        found = self._solid.get(background)
        if found is None:
            found = Planes.of(laid_on(background or _WHITE, self._opaque.whole(), self._alpha))
        return found

    def _transparent(self, size: tuple[int, int]) -> Image.Image:
        picture = self._see_through
        if picture is None:
            picture = self._opaque.whole().convert("RGB")
            assert self._alpha is not None  # noqa: S101 - only a picture with transparency comes here
            picture.putalpha(self._alpha)
        if picture.size != size:
            picture = picture.resize(size, _LANCZOS)
        self._see_through = picture
        return picture


def liveliest(picture: Image.Image, box: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return where to cut so that `box` holds most of the picture's edges; as much of it as there is.

    Faces, letters and things have edges, sky and walls have few. Where all is alike, the middle is taken.
    """
    width, height = min(box[0], picture.width), min(box[1], picture.height)
    if (width, height) == picture.size:
        return 0, 0, width, height
    across = picture.width - width >= picture.height - height
    longest, kept = (picture.width, width) if across else (picture.height, height)
    steps = min(longest, _INTEREST_EDGE)
    small = (steps, _INTEREST_EDGE) if across else (_INTEREST_EDGE, steps)
    edges = picture.convert("L").resize(small, Image.Resampling.BOX).filter(ImageFilter.FIND_EDGES)
    edges = edges.resize((steps, 1) if across else (1, steps), Image.Resampling.BOX)
    energy, window = edges.tobytes(), max(1, round(steps * kept / longest))
    middle = (steps - window) / 2

    def interest(start: int) -> tuple[int, float]:
        return sum(energy[start : start + window]), -abs(start - middle)

    start = max(range(steps - window + 1), key=interest)
    # The middle of the window, in pixels, so that rounding never leads out of the picture.
    at = min(longest - kept, max(0, round((start + window / 2) * longest / steps - kept / 2)))
    left, top = (at, (picture.height - height) // 2) if across else ((picture.width - width) // 2, at)
    return left, top, left + width, top + height


def encoded(picture: Image.Image, spec: Spec) -> bytes:
    """Return the file. Nothing of the source is handed on: Pillow would write its comment and its profile."""
    picture.info.clear()
    out = io.BytesIO()
    if spec.format == "jpeg":
        # Tables of its own would make a file 1 to 6 % smaller and cost a sixth of the whole stage.
        picture.save(out, "JPEG", quality=spec.quality)
        return out.getvalue()
    if picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGB")
    if spec.format == "webp":
        picture.save(out, "WEBP", quality=spec.quality, method=2)
    else:
        picture.save(out, "AVIF", quality=spec.quality, speed=8, max_threads=1)
    return out.getvalue()

"""Say which thumbnails are made, and how: the recipe, written as one line of text.

    large 1280, medium 480 webp q75, small 160x160 cover sharpen=0.4 #f0f0f0

Variants are separated by commas. Each begins with its name and its box: one number for both edges, or
`WIDTHxHEIGHT`. Then, in any order: `jpeg`, `webp` or `avif`; `q1` to `q100`; `inside` (the whole picture) or
`cover` (the box is filled, and the liveliest part is kept); `sharpen=AMOUNT`; and what transparency is laid
on: `#rrggbb`, or `transparent` to keep it. `large`, `medium` and `small` are always there; others may be added.

Knows no decoder, so that the processes that never touch a picture can read a recipe too.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace

DEFAULT = "large 1280, medium 480, small 160"
REQUIRED = ("large", "medium", "small")
MOST = 8
_QUALITIES = {"jpeg": 80, "webp": 80, "avif": 60}
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_BOX = re.compile(r"(\d{1,4})(?:x(\d{1,4}))?")
_COLOUR = re.compile(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})")
_WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One variant. `background` None keeps transparency; `sharpen` is 0 for none, about 0.5 for visibly."""

    name: str
    width: int
    height: int
    format: str = "jpeg"
    quality: int = _QUALITIES["jpeg"]
    cover: bool = False
    sharpen: float = 0.0
    background: tuple[int, int, int] | None = _WHITE

    @property
    def content_type(self) -> str:
        return f"image/{self.format}"

    def scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return `size` scaled to this box, before a crop: never larger, never less than a pixel."""
        (width, height), (across, down) = size, (self.width, self.height)
        by_width = (across * height < down * width) != self.cover
        if (width <= across) if by_width else (height <= down):
            return size
        if by_width:
            return across, max(1, round(height * across / width))
        return max(1, round(width * down / height)), down


@dataclass(frozen=True, slots=True)
class Recipe:
    """The variants in the order in which the record names them, and the text that asked for them."""

    text: str
    specs: tuple[Spec, ...]


@functools.lru_cache(maxsize=256)
def parse(text: str) -> Recipe:
    """Read a recipe. Raises ValueError with a sentence that completes «THUMBNAILS …»."""
    specs = tuple(_spec(part.split()) for part in text.lower().split(","))
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        raise ValueError("names a variant twice")
    if missing := [name for name in REQUIRED if name not in names]:
        raise ValueError(f"lacks {' and '.join(missing)}")
    if len(specs) > MOST:
        raise ValueError(f"has more than {MOST} variants")
    return Recipe(text, specs)


def _spec(words: list[str]) -> Spec:
    if len(words) < 2 or not _NAME.fullmatch(words[0]):
        raise ValueError("must hold variants such as `large 1280`, separated by commas")
    box = _BOX.fullmatch(words[1])
    width = int(box[1]) if box else 0
    height = int(box[2] or box[1]) if box else 0
    if not (16 <= width <= 4096 and 16 <= height <= 4096):
        raise ValueError(f"wants for {words[0]} a box of 16 to 4096 pixels, such as 480 or 160x160")
    spec = Spec(name=words[0], width=width, height=height)
    quality = None
    for word in words[2:]:
        if quality is None and re.fullmatch(r"q\d{1,3}", word) and 1 <= int(word[1:]) <= 100:
            quality = int(word[1:])
        else:
            spec = _with(spec, word)
    if spec.format == "jpeg" and spec.background is None:
        raise ValueError(f"wants {spec.name} transparent, which JPEG cannot be")
    return replace(spec, quality=quality or _QUALITIES[spec.format])


def _with(spec: Spec, word: str) -> Spec:
    if word in _QUALITIES:
        return replace(spec, format=word)
    if word in ("inside", "cover"):
        return replace(spec, cover=word == "cover")
    if word == "transparent":
        return replace(spec, background=None)
    if colour := _COLOUR.fullmatch(word):
        red, green, blue = (int(part, 16) for part in colour.groups())
        return replace(spec, background=(red, green, blue))
    if sharpen := re.fullmatch(r"sharpen=(\d(?:\.\d{1,2})?)", word):
        return replace(spec, sharpen=float(sharpen[1]))
    raise ValueError(f"says of {spec.name} {word[:20]!r}, which means nothing")

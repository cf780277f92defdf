"""Name a recipe together with the libraries that carry it out, for the record and for whoever renders anew."""

from __future__ import annotations

import functools
import hashlib

import PIL
import pillow_heif
from PIL import features

from workers.imaging.variants import Recipe

_VERSION = 3  # goes up whenever the same text and the same libraries would give other bytes
_CODECS = ("jpg", "zlib", "webp", "avif", "littlecms2")


@functools.lru_cache(maxsize=256)
def recipe_id(recipe: Recipe) -> str:
    """Name everything that decides the bytes of a thumbnail besides its source: equal names, equal bytes."""
    codecs = [f"{name} {features.version(name)}" for name in _CODECS]
    made_by = [
        _VERSION,
        *recipe.specs,
        f"pillow {PIL.__version__}",
        f"heif {pillow_heif.__version__}",
        *codecs,
    ]
    return f"{_VERSION}-{hashlib.sha256(repr(made_by).encode()).hexdigest()[:12]}"

"""Render a file of one's own in this process, with the product's own recipe and no child."""

from __future__ import annotations

from pathlib import Path

from workers.imaging.limits import Limits
from workers.imaging.reading import prepare
from workers.imaging.recipe import render
from workers.imaging.rendering import Rendering


def rendering(path: str | Path, *, limits: Limits | None = None) -> Rendering:
    """Render one file. Raises Permanent for a picture that is refused, OSError for a file that cannot be read."""
    prepare()
    return render(Path(path).read_bytes(), limits=limits or Limits())


def product(path: str | Path) -> dict[str, bytes]:
    """Return `{variant name: bytes}` of one file, for benchmarks."""
    return {variant.name: variant.data for variant in rendering(path).variants}

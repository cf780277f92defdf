"""Shape what a rendered picture is: what the record keeps of it, and its variants."""

from __future__ import annotations

from dataclasses import dataclass, field

# Long edges in pixels, the largest first: each is made from the one before it.
VARIANTS: tuple[tuple[str, int], ...] = (("large", 1280), ("medium", 480), ("small", 160))


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One thumbnail: JPEG bytes without any metadata."""

    name: str
    width: int
    height: int
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """A picture seen and rendered.

    Width and height are of the source as a person sees it, after orientation. `taken_at` is ISO 8601 text,
    with a zone only where the camera wrote one; `gps` is `{latitude, longitude[, altitude]}`; `placeholder`
    is a ThumbHash in base64; `partial` says that the file was truncated and rendered all the same.
    """

    format: str
    content_type: str
    width: int
    height: int
    taken_at: str | None
    camera: str | None
    gps: dict[str, float] | None
    placeholder: str | None
    partial: bool
    recipe: str
    variants: tuple[Variant, ...]

"""Shape what a rendered picture is: what the record keeps of it, and its variants."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One thumbnail: the bytes of a file without any metadata."""

    name: str
    width: int
    height: int
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """A picture seen and rendered.

    Width and height are of the source as a person sees it, after the turn that `orientation` (1 to 8) asked
    for. `frames` is None where they cannot be counted. `taken_at` is ISO 8601 text, with a zone only where the
    camera wrote one; `exposure` holds what is known of `{seconds, f_number, iso, focal_length_mm}`; `gps` is
    `{latitude, longitude[, altitude]}`; `placeholder` is a ThumbHash in base64; `dhash` 16 hexadecimal digits;
    `dominant_color` `#rrggbb`; `partial` says that the file was truncated and rendered all the same.
    """

    format: str
    content_type: str
    width: int
    height: int
    frames: int | None
    orientation: int
    color_space: str | None
    taken_at: str | None
    camera: str | None
    lens: str | None
    exposure: dict[str, float] | None
    gps: dict[str, float] | None
    placeholder: str | None
    dhash: str | None
    dominant_color: str | None
    partial: bool
    recipe: str
    variants: tuple[Variant, ...]

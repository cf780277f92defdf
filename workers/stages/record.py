"""Write down what an import brought: the image entry, made of what the two other stages found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from workers.stages.render import Rendered

# What a picture may tell of itself; left out of the entry where it does not.
_OPTIONAL = (
    "format",
    "frames",
    "orientation",
    "color_space",
    "taken_at",
    "camera",
    "lens",
    "exposure",
    "gps",
    "placeholder",
    "dhash",
    "dominant_color",
)


def image_entry(
    document: Mapping[str, Any], rendered: Rendered, *, image_id: str, now: datetime
) -> dict[str, Any]:
    """Return the image entry of an import whose original and thumbnails are stored.

    The name is the one that the client asked for, else the one that the source has.
    """
    original = document["original"]
    entry = {
        "_id": image_id,
        "organization_id": document["organization_id"],
        "import_id": document["_id"],
        "album_id": document["album_id"],
        "filename": document["filename"] or original["filename"],
        "content_type": rendered.content_type,
        "width": rendered.width,
        "height": rendered.height,
        "bytes": original["bytes"],
        "sha256": original["sha256"],
        "metadatas": document["metadatas"],
        "original": {"key": original["key"]},
        "thumbnails": [asdict(thumbnail) for thumbnail in rendered.thumbnails],
        "recipe": rendered.recipe,
        "created_at": now,
    }
    if rendered.partial:
        entry["partial"] = True
    return {**entry, **told(rendered)}


def renewed(rendered: Rendered) -> dict[str, Any]:
    """Return what changes in an image entry whose original was rendered anew."""
    return {
        "content_type": rendered.content_type,
        "width": rendered.width,
        "height": rendered.height,
        "thumbnails": [asdict(thumbnail) for thumbnail in rendered.thumbnails],
        "recipe": rendered.recipe,
        **told(rendered),
    }


def told(rendered: Rendered) -> dict[str, Any]:
    """Return what a picture told of itself."""
    values = {name: getattr(rendered, name) for name in _OPTIONAL}
    return {name: value for name, value in values.items() if value is not None}

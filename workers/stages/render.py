"""Render an original into its thumbnails and store them: bytes first, the record is somebody else's."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from common.blobs import Blobs, BlobsUnavailableError
from common.crashpoints import reached
from workers.failures import Throttled
from workers.imaging.rendering import Rendering, Variant
from workers.imaging.variants import Recipe


class Renders(Protocol):
    """What turns a file into a rendering; raises Permanent, Interrupted or Throttled."""

    def render(
        self, original: BinaryIO, *, stopping: threading.Event, recipe: Recipe | None = None
    ) -> Rendering:
        """Render the picture in a real file, by the decoder's own recipe unless another is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """One stored thumbnail, as the image entry names it."""

    name: str
    width: int
    height: int
    content_type: str
    bytes: int
    sha256: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What the image entry keeps of a picture; see `workers.imaging.rendering` for what each part means."""

    format: str
    content_type: str
    width: int
    height: int
    thumbnails: tuple[Thumbnail, ...]
    recipe: str
    frames: int | None
    orientation: int
    color_space: str | None
    placeholder: str | None
    dhash: str | None
    dominant_color: str | None
    taken_at: str | None
    camera: str | None
    lens: str | None
    exposure: dict[str, float] | None
    gps: dict[str, float] | None
    partial: bool


def render(  # noqa: PLR0913 - all of it by keyword
    *,
    organization_id: str,
    original: BinaryIO,
    decoder: Renders,
    blobs: Blobs,
    stopping: threading.Event,
    recipe: Recipe | None = None,
    gps_policy: str = "keep",
) -> Rendered:
    """Return what was seen and made, after every thumbnail is stored.

    `original` is a real file (its descriptor is handed to the decoder). `gps_policy` is `keep`, `round` or
    `drop`. Raises Permanent for a picture that
    is refused, Interrupted when `stopping` is set, Throttled when the decoder or the blob store cannot serve.
    """
    rendering = decoder.render(original, stopping=stopping, recipe=recipe)
    reached("render.decoded")
    return Rendered(
        format=rendering.format,
        content_type=rendering.content_type,
        width=rendering.width,
        height=rendering.height,
        thumbnails=tuple(_stored(organization_id, variant, blobs) for variant in rendering.variants),
        recipe=rendering.recipe,
        frames=rendering.frames,
        orientation=rendering.orientation,
        color_space=rendering.color_space,
        placeholder=rendering.placeholder,
        dhash=rendering.dhash,
        dominant_color=rendering.dominant_color,
        taken_at=rendering.taken_at,
        camera=rendering.camera,
        lens=rendering.lens,
        exposure=rendering.exposure,
        gps=_as_far_as_allowed(rendering.gps, gps_policy),
        partial=rendering.partial,
    )


def _as_far_as_allowed(gps: dict[str, float] | None, policy: str) -> dict[str, float] | None:
    """Return what may be kept of a place: all of it, its kilometre (without the height), or nothing."""
    if gps is None or policy == "drop":
        return None
    if policy == "round":
        return {name: round(gps[name], 2) for name in ("latitude", "longitude")}
    return gps


def _stored(organization_id: str, variant: Variant, blobs: Blobs) -> Thumbnail:
    """Put one variant under the name of its content, so that a second run finds or mends its own bytes."""
    sha256 = hashlib.sha256(variant.data).hexdigest()
    thumbnail = Thumbnail(
        name=variant.name,
        width=variant.width,
        height=variant.height,
        content_type=variant.content_type,
        bytes=len(variant.data),
        sha256=sha256,
        key=f"{organization_id}/thumbnails/{sha256}",
    )
    try:
        blobs.put(
            thumbnail.key,
            variant.data,
            size=thumbnail.bytes,
            sha256=sha256,
            content_type=thumbnail.content_type,
        )
    except BlobsUnavailableError as error:
        raise Throttled(
            "blobs_unavailable",
            "The store of pictures cannot take the thumbnails now; the import waits and is tried again.",
            scope="store",
            waiting_for="blobs",
        ) from error
    reached(f"render.stored_{variant.name}")
    return thumbnail

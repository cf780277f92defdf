"""Serve image entries, and the bytes of originals and thumbnails, to the organization they belong to."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from falcon.asgi import Request, Response

from common.blobs.reading import BlobReader
from common.documents.database import Document
from ingest import headers, present
from ingest.bodies import first_header
from ingest.errors import NotFoundError
from ingest.resources.imports import checked_id

PATH = "/api/v1/images"
# Shown where they are known.
_KNOWN = ("taken_at", "camera", "lens", "exposure", "gps", "placeholder", "dhash", "dominant_color", "format", "frames", "orientation", "color_space", "partial", "recipe")  # fmt: skip
# What a browser may be told that a file is; anything else, SVG above all, could be more than a picture.
_PICTURE = re.compile(r"image/(?:jpeg|png|gif|webp|tiff|bmp|heic|heif|avif|jp2|x-icon|vnd\.[a-z0-9.-]+)")


class ImagesStore(Protocol):
    """The door's queries on images. Raises ConnectionFailure where MongoDB is away."""

    async def find(self, image_id: str) -> Document | None: ...

    async def find_file(self, image_id: str) -> Document | None: ...


async def find_image(req: Request, images: ImagesStore, image_id: str) -> Document:
    """Return an image entry of the caller's organization. Raises NotFoundError, for another's as well."""
    return await _own(req, images.find, image_id)


async def find_file(req: Request, images: ImagesStore, image_id: str) -> Document:
    """Return what is needed to hand out bytes of such an image. Raises NotFoundError."""
    return await _own(req, images.find_file, image_id)


async def _own(req: Request, find: Callable[[str], Awaitable[Document | None]], image_id: str) -> Document:
    async with req.context.budget.spend():
        image = await find(checked_id(image_id))
    if image is None or image["organization_id"] != req.context.identity.organization_id:
        raise NotFoundError
    return image


def thumbnail_of(image: Document, name: str) -> Mapping[str, Any]:
    """Return one thumbnail of an image entry. Raises NotFoundError."""
    for thumbnail in image["thumbnails"]:
        if thumbnail["name"] == name:
            return {**thumbnail, "filename": _thumbnail_name(image, thumbnail)}
    raise NotFoundError


async def send_file(
    req: Request, resp: Response, blobs: BlobReader, file: Mapping[str, Any], *, inline: bool
) -> None:
    """Answer with the bytes of `file` (key, sha256, content_type, filename), or 304 where the caller has them.

    Raises BlobMissingError and BlobsUnavailableError.
    """
    content_type = file["content_type"] or ""
    told = {
        "content_type": content_type if _PICTURE.fullmatch(content_type) else "application/octet-stream",
        "sha256": file["sha256"],
        "filename": file["filename"],
        "inline": inline,
    }
    if _has_it(first_header(req, b"if-none-match"), headers.etag(file["sha256"])):
        resp.context.file, resp.status = told, "304 Not Modified"
        return
    size, body = await blobs.stream(file["key"])
    resp.context.file = told
    resp.set_header("Content-Length", str(size))
    if req.method == "HEAD":
        await body.close()
        return
    resp.stream = body


def _has_it(if_none_match: str | None, etag: str) -> bool:
    """Tell whether an If-None-Match names this file (RFC 9110, 13.1.2: weak comparison)."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return "*" in tags or etag in tags


def _thumbnail_name(image: Document, thumbnail: Mapping[str, Any]) -> str:
    extension = str(thumbnail["content_type"]).rpartition("/")[2].replace("jpeg", "jpg")
    return f"{PurePosixPath(image['filename'] or image['_id']).stem}-{thumbnail['name']}.{extension}"


class ImageResource:
    """GET /api/v1/images/{id}."""

    access = "token"

    def __init__(self, *, images: ImagesStore, zone: ZoneInfo) -> None:
        self._images, self._zone = images, zone

    async def on_get(self, req: Request, resp: Response, image_id: str) -> None:
        """Show what an import brought."""
        resp.data = present.json_bytes(self._shown(await find_image(req, self._images, image_id)))

    on_head = on_get

    def _shown(self, image: Document) -> dict[str, Any]:
        url = f"{PATH}/{image['_id']}"
        metadatas = image.get("metadatas")
        known = {name: image[name] for name in _KNOWN if image.get(name) is not None}
        return {
            "id": image["_id"],
            **{name: image.get(name) for name in ("organization_id", "import_id", "album_id", "filename")},
            **{name: image.get(name) for name in ("content_type", "width", "height", "bytes", "sha256")},
            "metadatas": json.loads(metadatas) if isinstance(metadatas, str) else metadatas,
            "original": {"url": f"{url}/original"},
            "thumbnails": [
                {
                    "name": one["name"],
                    "url": f"{url}/thumbnails/{one['name']}",
                    **{name: one[name] for name in ("width", "height", "content_type", "bytes", "sha256")},
                }
                for one in image["thumbnails"]
            ],
            "created_at": present.timestamp(image["created_at"], self._zone),
            **{name: self._plain(value) for name, value in known.items()},
        }

    def _plain(self, value: Any) -> Any:
        return present.timestamp(value, self._zone) if isinstance(value, datetime) else value


class OriginalResource:
    """GET /api/v1/images/{id}/original."""

    access = "token"

    def __init__(self, *, images: ImagesStore, blobs: BlobReader) -> None:
        self._images, self._blobs = images, blobs

    async def on_get(self, req: Request, resp: Response, image_id: str) -> None:
        """Hand out the very bytes that came from the source, to be saved: nobody has cleaned them."""
        image = await find_file(req, self._images, image_id)
        file = {**image, "key": image["original"]["key"]}
        await send_file(req, resp, self._blobs, file, inline=False)

    on_head = on_get


class ThumbnailResource:
    """GET /api/v1/images/{id}/thumbnails/{name}."""

    access = "token"

    def __init__(self, *, images: ImagesStore, blobs: BlobReader) -> None:
        self._images, self._blobs = images, blobs

    async def on_get(self, req: Request, resp: Response, image_id: str, name: str) -> None:
        """Hand out a thumbnail, which is ours from the first byte to the last and may be shown in place."""
        image = await find_file(req, self._images, image_id)
        await send_file(req, resp, self._blobs, thumbnail_of(image, name), inline=True)

    on_head = on_get

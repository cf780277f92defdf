"""Originals and thumbnails behind one URL: a folder, an object store, GridFS, or the memory of a process.

Workers and operators take `open_blobs`; the door takes `common.blobs.reading`, which can only read.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from common.blobs.files import FileBlobs, folder_of
from common.blobs.gridfs import GridBlobs
from common.blobs.objects import ObjectBlobs, open_store
from common.blobs.seam import (
    BlobError,
    BlobInfo,
    BlobMismatchError,
    BlobMissingError,
    Blobs,
    BlobsUnavailableError,
)

__all__ = [
    "BlobError",
    "BlobInfo",
    "BlobMismatchError",
    "BlobMissingError",
    "Blobs",
    "BlobsUnavailableError",
    "open_blobs",
]


def open_blobs(url: str, *, mongodb_url: str) -> Blobs:
    """Return the store that the URL names; it is not asked anything yet. `gridfs://` lives in `mongodb_url`.

    Raises ValueError for a URL that names no store.
    """
    match urlsplit(url).scheme:
        case "file":
            return FileBlobs(folder_of(url))
        case "gridfs":
            return GridBlobs(mongodb_url)
        case "s3" | "gs" | "az" | "memory":
            return ObjectBlobs(open_store(url))
        case _:
            raise ValueError("A blob store's URL begins with file, s3, gs, az, memory or gridfs.")

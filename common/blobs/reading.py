"""Read blobs without blocking the event loop: all that the door may do with them.

`stream` answers with the size before the first byte, so that a missing blob is a 404 and not an answer
that breaks off. The body must be closed where it is not read to its end; Falcon does both.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self
from urllib.parse import urlsplit

import obstore
import pymongo
import pymongo.errors
from obstore.exceptions import BaseError

from common.blobs import gridfs, objects
from common.blobs.files import folder_of, open_file
from common.blobs.ranges import RANGE_BYTES
from common.blobs.seam import CHUNK_BYTES, BlobMissingError, checked_key


class BlobBody(AsyncIterator[bytes]):
    """The bytes of one blob, in pieces. `close` may be called at any time, also before the first piece."""

    def __init__(self, piece: Callable[[], Awaitable[bytes]], file: BinaryIO | None = None) -> None:
        self._piece, self._file = piece, file

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._piece()
        if not piece:
            await self.close()
            raise StopAsyncIteration
        return piece

    async def close(self) -> None:
        """Give back the file; the other stores hold nothing between two pieces."""
        if self._file is not None:
            await asyncio.to_thread(self._file.close)  # waits for a read that was given up and still runs


class BlobReader(Protocol):
    """A blob store as the door uses it."""

    async def stream(self, key: str) -> tuple[int, BlobBody]:
        """Return a blob's size and its bytes. Raises BlobMissingError or BlobsUnavailableError, as reading does."""

    async def close(self) -> None:
        """Give back connections."""


def open_reader(url: str, *, mongodb_url: str) -> BlobReader:
    """Return the reader of the store that the URL names. Raises ValueError for a URL that names no store."""
    match urlsplit(url).scheme:
        case "file":
            return FileReader(folder_of(url))
        case "gridfs":
            return GridReader(mongodb_url)
        case "s3" | "gs" | "az" | "memory":
            return ObjectReader(objects.open_store(url))
        case _:
            raise ValueError("A blob store's URL begins with file, s3, gs, az, memory or gridfs.")


class FileReader:
    """Reads a folder; a disk can stall, so every call goes to a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def stream(self, key: str) -> tuple[int, BlobBody]:
        """Open the file at once, so that it can be read to its end even where it is deleted meanwhile."""
        file = io.BufferedReader(await asyncio.to_thread(open_file, self._root, key))
        return os.fstat(file.fileno()).st_size, BlobBody(lambda: asyncio.to_thread(_next_piece, file), file)

    async def close(self) -> None:
        """Nothing is held open between calls."""


def _next_piece(file: BinaryIO) -> bytes:
    return b"" if file.closed else file.read(CHUNK_BYTES)


class ObjectReader:
    """Reads an object store in ranges, each its own request: a slow client meets no time limit of the store."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def stream(self, key: str) -> tuple[int, BlobBody]:
        """Take a small blob from the answer that also tells its size; ask again for ranges of a large one."""
        try:
            answer = await obstore.get_async(self._store, checked_key(key))
            size = int(answer.meta["size"])
            whole = bytes(await answer.bytes_async()) if size <= RANGE_BYTES else None
        except (BaseError, OSError) as error:
            raise _object_failure(error) from None

        async def fetch(start: int, end: int) -> bytes:
            if whole is not None:
                return whole[start:end]
            try:
                return bytes(await obstore.get_range_async(self._store, key, start=start, end=end))
            except (BaseError, OSError) as error:
                raise _object_failure(error) from None

        return size, BlobBody(_ranges(size, RANGE_BYTES, fetch))

    async def close(self) -> None:
        """The store gives back its connections by itself."""


def _object_failure(error: Exception) -> Exception:
    return BlobMissingError() if isinstance(error, FileNotFoundError) else objects.unavailable(error)


class GridReader:
    """Reads GridFS a chunk at a time over the driver's asyncio client."""

    def __init__(self, mongodb_url: str) -> None:
        self._client = pymongo.AsyncMongoClient[dict[str, Any]](mongodb_url, **gridfs.TIMEOUTS)
        database = self._client.get_default_database()
        self._files, self._chunks = database[f"{gridfs.BUCKET}.files"], database[f"{gridfs.BUCKET}.chunks"]

    async def stream(self, key: str) -> tuple[int, BlobBody]:
        """Find the file by its key; its chunks bear the id of this very upload, so nothing else is read."""
        try:
            found = await self._files.find_one({"filename": checked_key(key)})
        except pymongo.errors.PyMongoError as error:
            raise gridfs.unavailable(error) from None
        if found is None:
            raise BlobMissingError
        size, chunk = int(found["length"]), int(found["chunkSize"])

        async def fetch(start: int, end: int) -> bytes:
            try:
                row = await self._chunks.find_one({"files_id": found["_id"], "n": start // chunk})
            except pymongo.errors.PyMongoError as error:
                raise gridfs.unavailable(error) from None
            if row is None or len(row["data"]) != end - start:
                raise BlobMissingError  # deleted while it was read
            return bytes(row["data"])

        return size, BlobBody(_ranges(size, chunk, fetch))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _ranges(
    size: int, step: int, fetch: Callable[[int, int], Awaitable[bytes]]
) -> Callable[[], Awaitable[bytes]]:
    """Return a function that fetches the next range at each call, and nothing once all are read."""
    starts = iter(range(0, size, step))

    async def piece() -> bytes:
        start = next(starts, None)
        return b"" if start is None else await fetch(start, min(start + step, size))

    return piece

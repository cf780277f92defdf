"""Keep blobs in MongoDB, for installations with one store: `gridfs://`, standard GridFS, bucket `blobs`.

An upload is a file document under a hidden name (`~uploading/…`, which no key can be), then its chunks,
then one conditional update that gives it its key. So nothing half-written is ever readable, `tidy` can
find what a killed writer left, and a writer that `tidy` took for dead publishes nothing: the document it
would rename is gone. A unique index on the name lets one of several writers of a key win.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import pymongo
import pymongo.errors

from common.blobs.ranges import stream_of
from common.blobs.seam import (
    BlobError,
    BlobInfo,
    BlobMissingError,
    BlobsUnavailableError,
    checked_folder,
    checked_key,
    fits,
    pieces,
)

BUCKET = "blobs"
GRID_CHUNK_BYTES = 255 * 1024
_CHUNKS_AT_ONCE = 8
_UPLOADING, _RETIRED = "~uploading/", "~retired/"

# A store that does not answer must become a wait, never a thread that hangs for ever.
TIMEOUTS: dict[str, Any] = {
    "serverSelectionTimeoutMS": 3000,
    "connectTimeoutMS": 3000,
    "socketTimeoutMS": 20000,
    "waitQueueTimeoutMS": 10000,
}
_DURABLE: dict[str, Any] = {"w": "majority", "journal": True, "wTimeoutMS": 15000}


class GridBlobs:
    """The blob store of one database; see `Blobs` for what each verb promises."""

    def __init__(self, mongodb_url: str) -> None:
        self._client = pymongo.MongoClient[dict[str, Any]](mongodb_url, tz_aware=True, **TIMEOUTS, **_DURABLE)
        self._database = self._client.get_default_database()
        self._files = self._database[f"{BUCKET}.files"]
        self._chunks = self._database[f"{BUCKET}.chunks"]
        self._indexed = False

    def put(self, key: str, source: bytes | BinaryIO, *, size: int, sha256: str, content_type: str) -> None:
        """Upload under a hidden name and publish by one update, or find the very bytes in place."""
        checked_key(key)
        with _unavailable():
            self._ensure_indexes()
            while not self._in_place(key, size=size, sha256=sha256):
                metadata = {"content_type": content_type, "sha256": sha256}
                if self._publish(key, self._upload(source, size=size, sha256=sha256), size, metadata):
                    return

    def _ensure_indexes(self) -> None:
        if not self._indexed:
            self._files.create_index("filename", unique=True)
            self._chunks.create_index([("files_id", 1), ("n", 1)], unique=True)
            self._indexed = True

    def _in_place(self, key: str, *, size: int, sha256: str) -> bool:
        """Tell whether the very bytes are there already, and make them young; a bad file is retired."""
        found = self._files.find_one({"filename": key})
        if found is None:
            return False
        if found["length"] != size or not fits(self._stream(found), size=size, sha256=sha256):
            self._retire(found["_id"], key)
            return False
        renewed = self._files.update_one(
            {"_id": found["_id"], "filename": key}, {"$currentDate": {"uploadDate": True}}
        )
        return renewed.matched_count == 1  # 0: deleted while we read it

    def _upload(self, source: bytes | BinaryIO, *, size: int, sha256: str) -> str:
        """Write the chunks of a hidden file and return its id; nothing of it stays if the source is wrong."""
        upload = uuid.uuid4().hex
        self._files.update_one(
            {"_id": upload},
            {
                "$setOnInsert": {"filename": _UPLOADING + upload, "length": 0, "chunkSize": GRID_CHUNK_BYTES},
                "$currentDate": {"uploadDate": True},  # the store's clock: `tidy` compares ages by it
            },
            upsert=True,
        )
        try:
            waiting: list[dict[str, Any]] = []
            content = pieces(source, size=size, sha256=sha256, piece_bytes=GRID_CHUNK_BYTES)
            for number, piece in enumerate(content):
                waiting.append({"files_id": upload, "n": number, "data": piece})
                if len(waiting) == _CHUNKS_AT_ONCE:
                    self._add_chunks(upload, waiting)
                    waiting = []
            if waiting:
                self._add_chunks(upload, waiting)
        except BlobError:
            self._remove(upload)
            raise
        return upload

    def _add_chunks(self, upload: str, chunks: list[dict[str, Any]]) -> None:
        """Write some chunks of an upload that still has its document, which becomes young: slow is not dead."""
        young = {"$currentDate": {"uploadDate": True}}
        if self._files.update_one({"_id": upload, "filename": _UPLOADING + upload}, young).matched_count == 0:
            raise BlobsUnavailableError("upload_abandoned")
        self._chunks.insert_many(chunks)

    def _publish(self, key: str, upload: str, size: int, metadata: dict[str, str]) -> bool:
        """Give an upload its key. False: another writer was faster; raises where `tidy` took us for dead."""
        hidden = {"_id": upload, "filename": _UPLOADING + upload}
        shown = {"filename": key, "length": size, "metadata": metadata}
        try:
            done = self._files.update_one(hidden, {"$set": shown, "$currentDate": {"uploadDate": True}})
        except pymongo.errors.DuplicateKeyError:
            self._remove(upload)
            return False
        if done.matched_count == 0:
            self._remove(upload)  # chunks written after `tidy` had swept
            raise BlobsUnavailableError("upload_abandoned")
        return True

    def read(self, key: str) -> bytes:
        """Return all bytes of a blob."""
        with self.open(key) as stream:
            return stream.read()

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open a blob as a stream over its chunks."""
        with _unavailable():
            found = self._files.find_one({"filename": checked_key(key)})
        if found is None:
            raise BlobMissingError
        with self._stream(found) as stream:
            yield stream

    def _stream(self, found: dict[str, Any]) -> BinaryIO:
        """Read chunks by number. A file whose chunks are gone, because it was deleted meanwhile, is missing."""

        def fetch(start: int, end: int) -> bytes:
            chunk = int(found["chunkSize"])
            first, last = start // chunk, math.ceil(end / chunk)
            wanted = {"files_id": found["_id"], "n": {"$gte": first, "$lt": last}}
            with _unavailable():
                held = b"".join(row["data"] for row in self._chunks.find(wanted).sort("n", 1))
            piece = held[start - first * chunk : end - first * chunk]
            if len(piece) != end - start:
                raise BlobMissingError
            return piece

        return stream_of(int(found["length"]), fetch)

    def size(self, key: str) -> int | None:
        """Return a blob's size in bytes, None where there is none."""
        with _unavailable():
            found = self._files.find_one({"filename": checked_key(key)}, {"length": 1})
        return None if found is None else int(found["length"])

    def delete(self, key: str) -> None:
        """Remove a blob: first its name, so that no reader finds a file that is losing its chunks."""
        with _unavailable():
            found = self._files.find_one({"filename": checked_key(key)}, {"_id": 1})
            if found is not None:
                self._retire(found["_id"], key)

    def delete_older(self, key: str, than: datetime) -> bool:
        """Remove a blob if it is old: one conditional update decides."""
        with _unavailable():
            found = self._files.find_one({"filename": checked_key(key)}, {"_id": 1})
            return found is not None and self._retire(found["_id"], key, {"uploadDate": {"$lt": than}})

    def _retire(self, file_id: Any, name: str, also: dict[str, Any] | None = None) -> bool:
        """Take a file's name away and remove it. False: it is not (or not `also`) so any more, and not ours.

        The hidden name is kept until the chunks are gone: killed in between, `tidy` goes on from it.
        """
        hidden = {"filename": _RETIRED + str(file_id)}
        wanted = {"_id": file_id, "filename": name, **(also or {})}
        if self._files.update_one(wanted, {"$set": hidden}).matched_count == 0:
            return False
        self._remove(file_id)
        return True

    def _remove(self, file_id: Any) -> None:
        self._chunks.delete_many({"files_id": file_id})
        self._files.delete_one({"_id": file_id})

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield what lies below the prefix, in the order of the names."""
        folder = checked_folder(prefix)
        # "0" is the character after "/", and "~" comes after every character of a key.
        span = {"$gte": f"{folder}/", "$lt": f"{folder}0"} if folder else {"$lt": "~"}
        with _unavailable():
            for row in self._files.find({"filename": span}).sort("filename", 1):
                yield BlobInfo(row["filename"], int(row["length"]), row["uploadDate"])

    def tidy(self, older_than_seconds: float) -> int:
        """Remove uploads begun that long ago and never published, and deletions never finished."""
        with _unavailable():
            now: datetime = self._database.command("hello")["localTime"]
            old = {
                "filename": {"$gte": "~"},
                "uploadDate": {"$lte": now - timedelta(seconds=older_than_seconds)},
            }
            removed = 0
            for row in self._files.find(old, {"filename": 1}):
                if row["filename"].startswith(_RETIRED):
                    self._remove(row["_id"])
                    removed += 1
                else:
                    removed += self._retire(row["_id"], row["filename"])
            return removed

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


@contextmanager
def _unavailable() -> Iterator[None]:
    """Turn what the driver reports into a store that cannot serve now; its text names hosts and documents."""
    try:
        yield
    except pymongo.errors.PyMongoError as error:
        raise unavailable(error) from None
    except OSError as error:  # the source's disk
        raise BlobsUnavailableError.from_errno(error) from None


def unavailable(error: pymongo.errors.PyMongoError) -> BlobsUnavailableError:
    """Name the kind of a driver's error: the server refused, or it could not be reached."""
    refused = isinstance(error, pymongo.errors.OperationFailure) and not error.has_error_label(
        "RetryableWriteError"
    )
    return BlobsUnavailableError("refused" if refused else "unreachable")

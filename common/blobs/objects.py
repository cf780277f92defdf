"""Keep blobs in an object store: `s3://`, `gs://`, `az://`, and `memory://` for a single process.

Bucket and leading path come from the URL; region, endpoint and credentials from the environment that the
provider's own tools read (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_…), or
from the machine's role. An object store publishes whole objects only and syncs by itself.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import MemoryStore, from_url

from common.blobs.ranges import stream_of
from common.blobs.seam import (
    CHUNK_BYTES,
    BlobInfo,
    BlobMissingError,
    BlobsUnavailableError,
    checked_folder,
    checked_key,
    pieces,
)

# One request moves at most a part or a range, so these bound a stall and not the size of a blob.
_CLIENT: dict[str, Any] = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=15),
    "timeout": timedelta(seconds=60),
}
_RETRY = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_COARSE = timedelta(seconds=1)  # Last-Modified is cut to whole seconds
# Parts are held in memory, by obstore too: the smallest that S3 takes, one at a time. Two of 8 MiB cost 25 MB a
# thread, and twelve threads may upload at once.
PART_BYTES = 5 * 1024 * 1024
_PARTS_AT_ONCE = 1


def open_store(url: str) -> Any:
    """Build the obstore store of a URL; nothing is asked of it yet. Raises ValueError for a URL it refuses."""
    if urlsplit(url).scheme == "memory":
        return _memory(url)
    # Given options, obstore no longer looks at this variable; without it plain http is refused everywhere.
    plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
    try:
        return from_url(url, client_options=_CLIENT | {"allow_http": plain}, retry_config=_RETRY)  # type: ignore[call-overload]
    except BaseError:
        raise ValueError("The blob store's URL or its provider's environment cannot be used.") from None


@functools.cache
def _memory(_url: str) -> Any:
    """Return the process's one store of that URL, so that what is written can be read by whoever opens it again."""
    return MemoryStore()


class ObjectBlobs:
    """The blob store of one bucket; see `Blobs` for what each verb promises."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def put(self, key: str, source: bytes | BinaryIO, *, size: int, sha256: str, content_type: str) -> None:
        """Write the object over whatever is there: that costs what reading it back to verify it would.

        A large one goes in parts, which obstore gives up (and has the store drop) if the source turns out
        wrong. A writer that is killed in between leaves parts that only the bucket's own rule for
        incomplete uploads removes; docs/decisions/0003 says how to set it.
        """
        whole = size <= PART_BYTES
        content = pieces(source, size=size, sha256=sha256, piece_bytes=PART_BYTES if whole else CHUNK_BYTES)
        small = b"".join(content) if whole else None
        with _unavailable():
            try:
                obstore.put(
                    self._store,
                    checked_key(key),
                    content if small is None else small,
                    attributes={"Content-Type": content_type},
                    use_multipart=small is None,
                    chunk_size=PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                )
            except FileNotFoundError:
                raise BlobsUnavailableError("no_such_bucket") from None

    def read(self, key: str) -> bytes:
        """Return all bytes of a blob."""
        with self.open(key) as stream:
            return stream.read()

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open a blob as ranges; each is its own request, so a slow reader meets no time limit."""
        size = self.size(key)
        if size is None:
            raise BlobMissingError
        with stream_of(size, functools.partial(self._range, key)) as stream:
            yield stream

    def _range(self, key: str, start: int, end: int) -> bytes:
        with _unavailable():
            try:
                return bytes(obstore.get_range(self._store, key, start=start, end=end))
            except FileNotFoundError:
                raise BlobMissingError from None

    def size(self, key: str) -> int | None:
        """Return a blob's size in bytes, None where there is none."""
        with _unavailable():
            try:
                return int(obstore.head(self._store, checked_key(key))["size"])
            except FileNotFoundError:
                return None

    def delete(self, key: str) -> None:
        """Remove a blob; one that is not there is no error."""
        with _unavailable():
            try:
                obstore.delete(self._store, checked_key(key))
            except FileNotFoundError:
                return

    def delete_older(self, key: str, than: datetime) -> bool:
        """Look at an object's age and remove it if it is old.

        Object stores compare no ages themselves, so a put that lands between the look and the removal, of a
        blob that nobody has named since `than`, loses: a window of one round trip. Its reader is told that
        the blob is missing, and `imports repair` makes it again.
        """
        with _unavailable():
            try:
                put_at: datetime = obstore.head(self._store, checked_key(key))["last_modified"]
                if put_at + _COARSE > than:
                    return False
                obstore.delete(self._store, key)
            except FileNotFoundError:
                return False
            return True

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield what lies below the prefix, a page of the store's listing at a time."""
        folder = checked_folder(prefix)
        with _unavailable():
            for page in obstore.list(self._store, folder or None):
                for entry in page:
                    yield BlobInfo(str(entry["path"]), int(entry["size"]), entry["last_modified"])

    def tidy(self, older_than_seconds: float) -> int:  # noqa: ARG002
        """Nothing that we could see is ever left: parts of an upload are the bucket's to expire."""
        return 0

    def close(self) -> None:
        """The store gives back its connections by itself."""


def unavailable(error: Exception) -> BlobsUnavailableError:
    """Name the kind of an obstore error and drop its text, which holds the URL and the whole request."""
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
        return BlobsUnavailableError("refused")
    if isinstance(error, OSError) and error.errno:
        return BlobsUnavailableError.from_errno(error)
    return BlobsUnavailableError("unreachable")


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise unavailable(error) from None

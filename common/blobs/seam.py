"""Say what every blob store promises, whichever one stands behind the URL.

A key is `{organization_id}/originals/{sha256}` or `{organization_id}/thumbnails/{sha256}`: named after its
content, so writing it twice is harmless, and inside an organization, so that nothing is shared across them.

    BlobError
    ├── BlobsUnavailableError   the store is full, read-only, broken or unreachable: wait, then try again
    ├── BlobMissingError        the store answers, and holds nothing under this key
    └── BlobMismatchError       the bytes handed in are not those that were announced: nothing was stored
"""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

CHUNK_BYTES = 1024 * 1024

_KEY = re.compile(r"[a-z0-9-]+(?:/[A-Za-z0-9-][A-Za-z0-9._-]*)+")
_FOLDER = re.compile(r"[a-z0-9-]+(?:/[A-Za-z0-9-][A-Za-z0-9._-]*)*")


class BlobError(Exception):
    """A blob could not be stored or read. No message of this tree holds a path, a URL or a credential."""


class BlobsUnavailableError(BlobError):
    """The store cannot serve now. `reason` is an errno name such as `ENOSPC`, or `unreachable`, or `refused`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The blob store cannot serve now ({reason}).")

    @classmethod
    def from_errno(cls, error: OSError) -> BlobsUnavailableError:
        """Keep the kind of an operating system's error and drop its text, which names the path."""
        return cls(errno.errorcode.get(error.errno or 0, "unreachable"))


class BlobMissingError(BlobError):
    """Nothing is stored under the key."""

    def __init__(self) -> None:
        super().__init__("The blob is not in the store.")


class BlobMismatchError(BlobError):
    """The source held other bytes than its `size` and `sha256` say; nothing was stored."""

    def __init__(self) -> None:
        super().__init__("The bytes to store differ from the size or the digest announced for them.")


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One row of a listing: `size` in bytes, `modified_at` in UTC as the store saw the last put."""

    key: str
    size: int
    modified_at: datetime


class Blobs(Protocol):
    """A blob store as workers and operators use it. Safe to share between threads, not across a fork."""

    def put(self, key: str, source: bytes | BinaryIO, *, size: int, sha256: str, content_type: str) -> None:
        """Store `source` durably before returning; a stream is read from its beginning, a piece at a time.

        A blob found in place counts only if its size and digest fit: then its age starts anew, else it is
        replaced. No reader ever sees a part of it. Raises BlobsUnavailableError or BlobMismatchError.
        """

    def read(self, key: str) -> bytes:
        """Return all bytes of a blob. Raises BlobMissingError or BlobsUnavailableError."""

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open a blob as a seekable stream. Opening raises as `read` does; reading may as well."""

    def size(self, key: str) -> int | None:
        """Return a blob's size in bytes, None where there is none. Raises BlobsUnavailableError."""

    def delete(self, key: str) -> None:
        """Remove a blob; one that is not there is no error. Raises BlobsUnavailableError."""

    def delete_older(self, key: str, than: datetime) -> bool:
        """Remove a blob that was last put before `than` (UTC), and tell whether it was removed.

        A put renews the age first, and what names the blob is written after the put; so whoever deletes only
        what is old never takes a blob from a writer. Raises BlobsUnavailableError.
        """

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield what lies below a folder of whole segments (`""` is everything), in no given order."""

    def tidy(self, older_than_seconds: float) -> int:
        """Remove what killed writers left behind and return how much; a living writer is not harmed."""

    def close(self) -> None:
        """Give back connections."""


def checked_key(key: str) -> str:
    """Return the key. Raises ValueError where it could leave its place: `..`, absolute, or odd characters."""
    if not _KEY.fullmatch(key) or len(key) > 512:
        raise ValueError(
            "A blob key is {organization_id}/{kind}/{name}, of letters, digits, `.`, `_` and `-`."
        )
    return key


def checked_folder(prefix: str) -> str:
    """Return a listing's prefix without its trailing slash. Raises ValueError as `checked_key` does."""
    folder = prefix.removesuffix("/")
    if folder and not _FOLDER.fullmatch(folder):
        raise ValueError("A listing's prefix is empty or the leading segments of a blob key.")
    return folder


def pieces(
    source: bytes | BinaryIO, *, size: int, sha256: str, piece_bytes: int = CHUNK_BYTES
) -> Iterator[bytes]:
    """Yield the source piece by piece. Raises BlobMismatchError instead of ending where it is not as announced.

    The comparison comes before the last `StopIteration`, so a writer that publishes after the loop never
    publishes wrong bytes.
    """
    digest, seen = hashlib.sha256(), 0
    for piece in _read(source, piece_bytes):
        digest.update(piece)
        seen += len(piece)
        if seen > size:
            raise BlobMismatchError
        yield piece
    if seen != size or digest.hexdigest() != sha256:
        raise BlobMismatchError


def fits(stream: BinaryIO, *, size: int, sha256: str) -> bool:
    """Tell whether a stored blob holds exactly the announced bytes."""
    try:
        for _piece in pieces(stream, size=size, sha256=sha256):
            pass
    except (BlobMismatchError, BlobMissingError):
        return False
    return True


def _read(source: bytes | BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    if isinstance(source, bytes):
        for start in range(0, len(source), piece_bytes):
            yield source[start : start + piece_bytes]
        return
    source.seek(0)
    while piece := _read_fully(source, piece_bytes):
        yield piece


def _read_fully(source: BinaryIO, wanted: int) -> bytes:
    """Read `wanted` bytes unless the source ends: a short read would make a chunk or a part of an odd size."""
    piece = source.read(wanted)
    while 0 < len(piece) < wanted and (more := source.read(wanted - len(piece))):
        piece += more
    return piece

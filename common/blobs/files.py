"""Keep blobs in a folder: `file:///…`, one file a blob, the key is the path below the root.

Written by `publishing` and not by obstore, whose local store neither syncs nor cleans up after a killed
writer (docs/decisions/0003). Several machines may share the folder if its file system locks (`flock`).
"""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from common.blobs.publishing import is_same, publish, remove_if_same, sync_folders, tidy_staging
from common.blobs.seam import (
    BlobInfo,
    BlobMissingError,
    BlobsUnavailableError,
    checked_folder,
    checked_key,
    fits,
    pieces,
)

_NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def folder_of(url: str) -> Path:
    """Return the folder that a file URL names. Raises ValueError for a host or a relative path."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ValueError("A file URL has three slashes and an absolute path: file:///var/lib/imports/blobs")
    return Path(unquote(parts.path))


class FileBlobs:
    """The blob store of one folder; see `Blobs` for what each verb promises."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, source: bytes | BinaryIO, *, size: int, sha256: str, content_type: str) -> None:  # noqa: ARG002
        """Publish the blob, or find it in place. A file keeps no content type: the record has it."""
        target = self._root / checked_key(key)
        with _unavailable():
            while not self._in_place(target, size=size, sha256=sha256):
                if publish(self._root, target, pieces(source, size=size, sha256=sha256)):
                    return

    def _in_place(self, target: Path, *, size: int, sha256: str) -> bool:
        """Tell whether the very bytes are there already, and make them young; a bad file is removed."""
        try:
            file = target.open("rb")
        except FileNotFoundError:
            return False
        with file:
            if os.fstat(file.fileno()).st_size != size or not fits(file, size=size, sha256=sha256):
                remove_if_same(target, file.fileno())
                return False
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)  # or `delete_older` could look before and remove after
            os.utime(file.fileno())
            if not is_same(target, file.fileno()):
                return False  # deleted while we read it
        sync_folders(self._root, target.parent)  # whoever published it may not have come so far
        return True

    def read(self, key: str) -> bytes:
        """Return all bytes of a blob."""
        with self.open(key) as stream:
            return stream.read()

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open the file itself: the stream has a real descriptor that can be handed to another process."""
        with io.BufferedReader(open_file(self._root, key)) as stream:
            yield stream

    def size(self, key: str) -> int | None:
        """Return a blob's size in bytes, None where there is none."""
        try:
            with open_file(self._root, key) as file:
                return os.fstat(file.fileno()).st_size
        except BlobMissingError:
            return None

    def delete(self, key: str) -> None:
        """Remove a blob's file; the empty folder stays, or a writer that just made it would stumble."""
        target = self._root / checked_key(key)
        with _unavailable():
            try:
                target.unlink()
            except _NOT_THERE:
                return
            sync_folders(target.parent, target.parent)

    def delete_older(self, key: str, than: datetime) -> bool:
        """Remove a blob's file if it is old, under the lock that a writer takes to make it young."""
        target = self._root / checked_key(key)
        with _unavailable():
            try:
                descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
            except _NOT_THERE:
                return False
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                put_at = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC)  # as `list` tells it
                if put_at >= than or not is_same(target, descriptor):
                    return False
                target.unlink()
            finally:
                os.close(descriptor)
            sync_folders(target.parent, target.parent)
            return True

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Walk the folder; a file that disappears meanwhile is left out."""
        pending = [self._root / checked_folder(prefix)]
        while pending:
            with _unavailable():
                try:
                    entries = [entry for entry in os.scandir(pending.pop()) if not entry.name.startswith(".")]
                except _NOT_THERE:
                    continue
                pending += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
                found = [info for entry in entries if (info := self._info(entry)) is not None]
            yield from found

    def _info(self, entry: os.DirEntry[str]) -> BlobInfo | None:
        try:
            if not entry.is_file(follow_symlinks=False):
                return None
            state = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        key = Path(entry.path).relative_to(self._root).as_posix()
        return BlobInfo(key, state.st_size, datetime.fromtimestamp(state.st_mtime, UTC))

    def tidy(self, older_than_seconds: float) -> int:
        """Remove staged files whose writer is gone; there are none where nameless files exist."""
        with _unavailable():
            return tidy_staging(self._root, older_than_seconds)

    def close(self) -> None:
        """Nothing is held open between calls."""


class BlobFile(io.FileIO):
    """A file whose reading errors speak the seam's language."""

    def readinto(self, buffer: Any) -> int | None:
        """Read into the buffer. Raises BlobsUnavailableError for a disk that fails."""
        with _unavailable():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        """Read to the end. Raises BlobsUnavailableError for a disk that fails."""
        with _unavailable():
            return super().readall()


def open_file(root: Path, key: str) -> BlobFile:
    """Open a blob's file for reading. Raises BlobMissingError or BlobsUnavailableError."""
    target = root / checked_key(key)
    try:
        return BlobFile(target)
    except _NOT_THERE:
        raise BlobMissingError from None
    except OSError as error:
        raise BlobsUnavailableError.from_errno(error) from None


@contextmanager
def _unavailable() -> Iterator[None]:
    """Turn what the operating system refuses into a store that cannot serve now."""
    try:
        yield
    except OSError as error:
        raise BlobsUnavailableError.from_errno(error) from None

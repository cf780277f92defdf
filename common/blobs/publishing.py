"""Publish a file under its name whole or not at all, and durably: the writing half of `file://`.

On Linux the bytes go to a file without a name (O_TMPFILE), are synced, and only then receive their name:
a writer that is killed leaves nothing, because the kernel drops a nameless file with its last descriptor.
Where the system or the file system has no such files, the bytes are staged under `.staging/`, in a file
whose lock its writer holds: `tidy` removes whatever is no longer locked, which needs no guess about age.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from common.crashpoints import reached

# Folders whose names are on the disk, as far up as the first that is here as well. A folder that is made anew under an
# old name has another number.
_named: set[tuple[Path, int, int]] = set()
MOST_NAMED = 10_000
STAGING = ".staging"  # no key begins with a dot
_UNNAMED_UNSUPPORTED = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS}


def publish(root: Path, target: Path, content: Iterable[bytes]) -> bool:
    """Write `content` and give it the name `target`, below `root`. Returns False if the name was taken meanwhile.

    On return the bytes and every folder on the way to them are on the disk. Raises OSError, and whatever
    `content` raises; the name does not exist then.
    """
    make_folders(target.parent)
    unnamed = _open_unnamed(target.parent)
    published = (
        _publish_staged(root, target, content)
        if unnamed is None
        else _publish_unnamed(unnamed, target, content)
    )
    reached("blob.named")
    _sync_name(root, target.parent)
    return published


def _open_unnamed(folder: Path) -> int | None:
    """Open a file without a name in `folder`; None where the system or the file system has none."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not Path("/proc/self/fd").exists():  # its name is given by way of /proc
        return None
    try:
        return os.open(folder, flag | os.O_WRONLY | os.O_CLOEXEC, 0o640)
    except OSError as error:
        if error.errno in _UNNAMED_UNSUPPORTED:
            return None
        raise


def _publish_unnamed(descriptor: int, target: Path, content: Iterable[bytes]) -> bool:
    with open(descriptor, "wb", buffering=0) as file:
        _write(file.fileno(), content)
        reached("blob.written")
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Python follows the link in /proc only when a folder's descriptor is given as well.
            os.link(f"/proc/self/fd/{file.fileno()}", target.name, dst_dir_fd=folder, follow_symlinks=True)
        except FileExistsError:
            return False
        finally:
            os.close(folder)
    return True


def _publish_staged(root: Path, target: Path, content: Iterable[bytes]) -> bool:
    """Stage under a name of our own, locked, and rename: a rename replaces, so it is never in vain."""
    folder = root / STAGING
    make_folders(folder)
    staged, descriptor = _open_staged(folder)
    try:
        _write(descriptor, content)
        staged.rename(target)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return True


def _open_staged(folder: Path) -> tuple[Path, int]:
    """Make a file and lock it; once more where a tidy came between the two and removed its name."""
    while True:
        staged = folder / uuid.uuid4().hex
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if is_same(staged, descriptor):
                return staged, descriptor
        except OSError:
            staged.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        os.close(descriptor)


def _write(descriptor: int, content: Iterable[bytes]) -> None:
    for piece in content:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    _sync(descriptor)


def remove_if_same(target: Path, descriptor: int) -> None:
    """Remove the name `target` if it still is the open file, which it locks first.

    Two writers that both found a bad blob would otherwise race: the slower one would remove the good file
    that the faster one has just published and been thanked for.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if is_same(target, descriptor):
        target.unlink()


def is_same(target: Path, descriptor: int) -> bool:
    """Tell whether the name still leads to the open file."""
    try:
        return os.path.samestat(target.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def tidy_staging(root: Path, older_than_seconds: float) -> int:
    """Remove staged files that no writer holds, of at least that age, and return how many. Raises OSError."""
    try:
        staged = list((root / STAGING).iterdir())
    except FileNotFoundError:
        return 0
    return sum(_remove_abandoned(path, older_than_seconds) for path in staged)


def _remove_abandoned(path: Path, older_than_seconds: float) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False  # published, or removed by another tidy
    try:
        if time.time() - os.fstat(descriptor).st_mtime < older_than_seconds:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_same(path, descriptor):
            return False  # published while we looked: the lock was free because its writer is done
        path.unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, each synced into the one that holds it."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(mode=0o750, exist_ok=True)
    sync_folder(folder.parent)


def sync_folders(root: Path, folder: Path) -> None:
    """Sync `folder` and all above it up to `root`: a folder found in place may be a racing writer's, unsynced."""
    while True:
        sync_folder(folder)
        if folder == root:
            return
        folder = folder.parent


def _sync_name(root: Path, folder: Path) -> None:
    """Sync `folder`, and those above it whose names this process has not synced before: only `folder` has a new name."""
    sync_folder(folder)
    climbed = []
    while folder != root:
        found = folder.stat()
        named = (folder, found.st_dev, found.st_ino)
        if named in _named:
            break
        folder = folder.parent
        sync_folder(folder)
        climbed.append(named)
    if len(_named) >= MOST_NAMED:
        _named.clear()
    _named.update(climbed)  # at the end: another thread goes by any one of them for all above it


def sync_folder(folder: Path) -> None:
    """Put a folder's list of names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: its fsync stops at the drive's cache
    if full is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, full)

"""Keep files in work without a name, so that whatever ends the work leaves nothing behind, kill -9 included."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from workers.failures import Throttled

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def spool_file(folder: Path) -> Iterator[BinaryIO]:
    """Open an anonymous file in the folder, which is made if need be. Raises Throttled if that cannot be."""
    with spooling():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below, opened here for the verdict
    with contextlib.closing(opened) as file:
        yield file


@contextlib.contextmanager
def spooling() -> Iterator[None]:
    """Tell a full or broken disk of ours from a broken connection, since Python calls both an OSError.

    Wrap nothing but the write: it raises Throttled, and the import waits until there is room.
    """
    try:
        yield
    except OSError as error:
        reason = "is full" if error.errno in _FULL else "cannot be written"
        raise Throttled(
            "spool_unavailable",
            f"The folder for files in work {reason}: make room, or point SPOOL_DIR elsewhere.",
            scope="store",
            waiting_for="spool",
        ) from None

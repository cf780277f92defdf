"""Read a remote blob as a seekable stream, a range at a time, so that none is ever held whole."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

RANGE_BYTES = 4 * 1024 * 1024


class _Ranges(io.RawIOBase):
    """Bytes that are fetched as they are read. `fetch(start, end)` returns those of a half-open range."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size, self._fetch, self._at = size, fetch, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise ValueError("A position before the beginning cannot be read.")
        self._at = origin + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        piece = self._fetch(self._at, end)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def readall(self) -> bytes:
        """Read to the end in whole ranges; the inherited one would fetch 8 KiB at a time."""
        return b"".join(self._fetch(start, end) for start, end in self._rest())

    def _rest(self) -> list[tuple[int, int]]:
        starts = range(self._at, self._size, RANGE_BYTES)
        self._at = self._size
        return [(start, min(start + RANGE_BYTES, self._size)) for start in starts]


def stream_of(size: int, fetch: Callable[[int, int], bytes]) -> BinaryIO:
    """Return a buffered stream of `size` bytes over `fetch`; what `fetch` raises, reading raises."""
    return io.BufferedReader(_Ranges(size, fetch), buffer_size=max(1, min(size, RANGE_BYTES)))

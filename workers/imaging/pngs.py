"""Leave out of a PNG what viewers pass over: chunks besides the picture whose checksum is wrong."""

from __future__ import annotations

import zlib

_SIGNATURE_BYTES = 8
_CRITICAL = 0x20  # the bit of a chunk's first letter that says that a viewer may pass it over


def without_damaged_extras(data: bytes) -> bytes:
    """Return the file without such chunks; those of the picture itself stay as they are, damaged ones too."""
    kept, at = [data[:_SIGNATURE_BYTES]], _SIGNATURE_BYTES
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunk = data[at : at + 12 + size]
        may_be_passed_over = chunk[4] & _CRITICAL
        if not may_be_passed_over or zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big"):
            kept.append(chunk)
        at += 12 + size
    return b"".join(kept)

"""Read the parts of a JPEG, to see that a thumbnail holds nothing besides a picture."""

from __future__ import annotations

_PICTURE = {0xDB, 0xC0, 0xC4, 0xDA, 0xDD}  # tables, frame, scan, restart interval
_APP0 = 0xE0


def only_a_picture(data: bytes) -> bool:
    """Tell whether a baseline JPEG has a bare JFIF header, its tables, one scan, and nothing after its end."""
    if not data.startswith(b"\xff\xd8"):
        return False
    at = 2
    while data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _APP0:
            if data[at + 4 : at + 9] != b"JFIF\0" or size != 16:
                return False
        elif marker not in _PICTURE:
            return False
        at += 2 + size
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) == len(data) - 2
    return False

"""Mend what a JPEG's frame lacks where its pixels are whole, as every viewer does. Pure; no decoder is asked here.

- Stray bytes between two segments, and a JFIF segment too short to say anything, are left out.
- A missing end marker is added: at the end of the file, or before what a phone wrote behind the picture.

Only a file that its decoder refused comes here, so a usual one costs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_JFIF_BYTES = 14  # of a whole segment's content
_SOI, _EOI, _SOS, _DRI, _APP0 = 0xD8, 0xD9, 0xDA, 0xDD, 0xE0
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
# Inside a scan FF is followed by 00 (a literal FF), a restart marker or padding; anything else ends it.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_BETWEEN_SCANS = frozenset({_SOS, 0xC4, 0xDB, 0xDD, 0xDC, 0xFE, *range(0xE0, 0xF0)})
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
# With restart markers in it, for a picture that was cut before one waits for the next and passes everything else by.
_FILLING = b"\x5a\xa5" * 256 + b"".join(
    b"\xff%c" % each + b"\x5a\xa5" * 64 for each in (*range(0xD0, 0xD8),) * 3
)


@dataclass(frozen=True, slots=True)
class Mended:
    """A JPEG with a sound frame. `ends_early`: it had no end marker, so its last rows are to be proven.

    `filled` is then the same with other bytes behind its last scan: a whole picture decodes to the same pixels.
    """

    data: bytes
    filled: bytes
    ends_early: bool


def mended(data: bytes) -> Mended | None:
    """Return the file with what is odd taken out or added; None where nothing is, or it is not known what."""
    kept = bytearray(data[:2])
    at, found_scan, levels = 2, False, _Levels()
    while (start := data.find(b"\xff", at)) >= 0:
        at = start
        while at + 1 < len(data) and data[at + 1] == 0xFF:
            at += 1
        if at + 1 >= len(data):
            break
        marker, at = data[at + 1], at + 2
        if marker == _EOI and found_scan:
            kept += data[at - 2 :]
            return None if len(kept) == len(data) else Mended(bytes(kept), b"", ends_early=False)
        if marker == 0 or marker in _ALONE:
            continue
        size = int.from_bytes(data[at : at + 2], "big")
        if marker == _SOI or size < 2 or at + size > len(data):
            break
        content = data[at + 2 : at + size]
        if not (marker == _APP0 and content.startswith(b"JFIF") and len(content) < _JFIF_BYTES):
            kept += data[at - 2 : at + size]
        at += size
        levels.saw(marker, content)
        if marker == _SOS:
            found_scan, end = True, _end_of_scan(data, at)
            kept += data[at:end]
            levels.restarts = len(_RESTART.findall(data, at, end))
            at = end
            if at >= len(data) or data[at + 1] not in (_EOI, *_BETWEEN_SCANS):
                break
    if not found_scan or not levels.are_whole:
        return None
    return Mended(bytes(kept) + b"\xff\xd9", bytes(kept) + _FILLING + b"\xff\xd9", ends_early=True)


def _end_of_scan(data: bytes, at: int) -> int:
    found = _MARKER.search(data, at)
    return len(data) if found is None else found.start()


class _Levels:
    """What a JPEG's scans have brought: each colour, and of a progressive one each frequency to the last bit."""

    def __init__(self) -> None:
        self._is_progressive = False
        self._bits: dict[tuple[int, int], int] = {}
        self._interval, self._frame = 0, b""
        self.restarts = 0  # in the last scan

    def saw(self, marker: int, content: bytes) -> None:
        if marker == _DRI:
            self._interval = int.from_bytes(content[:2], "big")
        if marker in (*_SEQUENTIAL, _PROGRESSIVE) and len(content) > 5:
            self._frame = content
            self._is_progressive = marker == _PROGRESSIVE
            for place in range(6, min(len(content), 6 + 3 * content[5]), 3):
                self._bits |= {(content[place], each): 99 for each in range(64)}
        elif marker == _SOS and content and len(content) >= 4 + 2 * content[0]:
            first, last, bits = content[1 + 2 * content[0] :][:3] if self._is_progressive else (0, 63, 0)
            for place in range(1, 1 + 2 * content[0], 2):
                self._bits |= {(content[place], each): bits & 15 for each in range(first, min(last, 63) + 1)}

    @property
    def are_whole(self) -> bool:
        return not any(self._bits.values()) and self._has_all_restarts()

    def _has_all_restarts(self) -> bool:
        """Tell whether no stretch between two restart markers is missing: a decoder would pass over all of them."""
        if not self._interval:
            return True
        if self._is_progressive or not self._frame:
            return False  # its scans have stretches of many sizes: nobody counts them here
        height, width = (int.from_bytes(self._frame[at : at + 2], "big") for at in (1, 3))
        factors = self._frame[7::3] if self._frame[5] > 1 else b"\x11"
        across = -(-width // (8 * max(each >> 4 for each in factors)))
        down = -(-height // (8 * max(each & 15 for each in factors)))
        return self.restarts >= -(-across * down // self._interval) - 1

"""Count the scans of a JPEG before it is decoded.

A progressive JPEG of 130 kB may hold four thousand scans, each of which makes libjpeg walk over the whole
picture: seconds of processor time that no pixel limit prevents. A real one has about ten.
"""

from __future__ import annotations

import re

_START_OF_SCAN = b"\xff\xda"
# Inside a scan FF is followed by 00 (a literal FF), a restart marker or padding; anything else ends it.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
_END = 0xD9


def too_many_scans(data: bytes, most: int) -> bool:
    """Tell whether the first picture in `data` has more than `most` scans.

    The cheap count comes first. It alone would refuse good files: phones append a video to a photograph,
    and in megabytes of video the two bytes stand by chance. So what it suspects is walked marker by marker.
    """
    if data.count(_START_OF_SCAN) <= most:
        return False
    scans, at = 0, 2
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = data[found.end() - 1], found.end()
        if marker == _END:
            return False
        if marker in _ALONE:
            continue
        if marker == _START_OF_SCAN[1]:
            scans += 1
            if scans > most:
                return True
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return False

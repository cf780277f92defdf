"""Count the frames or pages of a file whose first one has been rendered, without decoding another.

Never worth a failure and never worth much time: a file may claim millions of frames or chain its pages in a
circle. What cannot be counted within bounds is not told.
"""

from __future__ import annotations

import time

from PIL import GifImagePlugin, Image, TiffImagePlugin

MOST = 10_000
_SECONDS = 0.25  # of processor time
_SINGLE = frozenset(("JPEG", "BMP", "JPEG2000", "ICO"))


def frames_of(picture: Image.Image, data: bytes) -> int | None:
    """Return how many frames there are, or None. The picture is not to be used afterwards."""
    if picture.format in _SINGLE:
        return 1
    try:
        if isinstance(picture, GifImagePlugin.GifImageFile):
            return _gif_frames(data)
        if isinstance(picture, TiffImagePlugin.TiffImageFile):
            return _tiff_pages(picture)
        count = getattr(picture, "n_frames", 1)
    except Exception:  # noqa: BLE001 - whatever is wrong behind the first frame, that one has been rendered
        return None
    return count if isinstance(count, int) and 1 <= count <= MOST else None


def _tiff_pages(picture: TiffImagePlugin.TiffImageFile) -> int | None:
    """Walk the chain of pages; Pillow's own count would follow a million of them."""
    until = time.process_time() + _SECONDS
    for page in range(1, MOST + 1):
        try:
            picture.seek(page)
        except EOFError:
            return page
        if time.process_time() > until:
            return None
    return None


def _gif_frames(data: bytes) -> int | None:
    """Walk the blocks. A file that ends before its last one has as many frames as began."""
    at, frames, end = 13 + _table(data[10]), 0, len(data)
    until = time.process_time() + _SECONDS
    while at < end and frames <= MOST and time.process_time() < until:
        kind = data[at]
        if kind == 0x2C and at + 10 < end:
            frames += 1
            at += 11 + _table(data[at + 9])
        elif kind == 0x21:
            at += 2
        else:
            return frames or None
        while at < end and data[at]:
            at += 1 + data[at]
        at += 1
    return frames if at >= end and 1 <= frames <= MOST else None


def _table(flags: int) -> int:
    """Return the bytes of a colour table."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

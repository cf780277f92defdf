"""A preview inside a file may show another picture than the file does, and is never what people are shown."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image

from tests.unit.workers.pictures import BLUE, RED, colour, near, seen
from workers.imaging.reading import prepare

SIZE = (600, 400)


def heic_with_foreign_previews() -> bytes:
    """Return a red picture whose preview is blue, and behind it a blue one whose preview is red."""
    prepare()
    out = io.BytesIO()
    red, blue = Image.new("RGB", SIZE, RED), Image.new("RGB", SIZE, BLUE)
    red.save(out, "HEIF", save_all=True, append_images=[blue], thumbnails=[500])
    told = out.getvalue()
    # Each reference is: «thmb», the preview's number, a count of one, the number of the picture it belongs to.
    first, second = (told[at + 8 : at + 10] for at in (told.find(b"thmb"), told.rfind(b"thmb")))
    assert first != second
    swapped = bytearray(told)
    for at, owner in ((told.find(b"thmb"), second), (told.rfind(b"thmb"), first)):
        swapped[at + 8 : at + 10] = owner
    return bytes(swapped)


def jpeg_with_a_foreign_preview() -> bytes:
    """Return a red picture in whose EXIF there is a blue one."""
    preview, out = io.BytesIO(), io.BytesIO()
    Image.new("RGB", SIZE, BLUE).save(preview, "JPEG")
    data = preview.getvalue()
    # TIFF, an empty first directory, and a second with JPEGInterchangeFormat and its length.
    tiff = b"II*\0\x08\0\0\0" + b"\0\0" + (14).to_bytes(4, "little") + b"\x02\0"
    for tag, value in ((0x0201, 14 + 2 + 24 + 4), (0x0202, len(data))):
        tiff += tag.to_bytes(2, "little") + b"\x04\0\x01\0\0\0" + value.to_bytes(4, "little")
    Image.new("RGB", SIZE, RED).save(out, "JPEG", exif=b"Exif\0\0" + tiff + b"\0\0\0\0" + data)
    return out.getvalue()


@pytest.mark.parametrize("made", [heic_with_foreign_previews, jpeg_with_a_foreign_preview])
def test_a_preview_of_another_picture_is_never_shown(made: Callable[[], bytes]) -> None:
    """Every thumbnail, whatever its size, shows what the file itself shows."""
    rendering = seen(made())
    for name in ("large", "medium", "small"):
        assert near(colour(rendering, name, (0.5, 0.5)), RED)

"""What stands besides a PNG's pixels decides nothing: wrong checksums there, and much that is said of it."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from tests.unit.workers.pictures import seen
from workers.failures import Permanent


def png() -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(out, "PNG")
    return out.getvalue()


def chunk(kind: bytes, data: bytes, *, wrong: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ wrong)


def with_chunk(extra: bytes, *, behind: bool = False) -> bytes:
    data = png()
    return data[:-12] + extra + data[-12:] if behind else data[:33] + extra + data[33:]


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("kind", [b"tEXt", b"gAMA", b"pHYs", b"eXIf", b"iCCP", b"tIME", b"prVt"])
def test_a_wrong_checksum_besides_the_picture_is_passed_over(kind: bytes, behind: bool) -> None:
    """The pixels are whole, so it is shown, and as without that chunk."""
    found = seen(with_chunk(chunk(kind, b"a\0\0\0\xb1\x8f", wrong=1), behind=behind))
    assert found.variants[0].data == seen(png()).variants[0].data


def test_a_wrong_checksum_of_whole_pixels_is_passed_over() -> None:
    """They are packed with a checksum of their own, which is right: it is shown as with the right one."""
    data = bytearray(png())
    at = data.index(b"IDAT")
    (length,) = struct.unpack_from(">I", data, at - 4)
    data[at + 4 + length] ^= 0xFF
    assert seen(bytes(data)).variants[0].data == seen(png()).variants[0].data


def test_a_byte_of_the_picture_that_was_not_written_is_damage() -> None:
    """A byte of the pixels that is not what was written."""
    data = bytearray(png())
    at = data.index(b"IDAT") + 60
    data[at] ^= 0xFF
    with pytest.raises(Permanent) as caught:
        seen(bytes(data))
    assert caught.value.code == "image_corrupt"


@pytest.mark.parametrize("kind", ["iTXt", "zTXt", "iCCP"])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("megabytes", [1.3, 12])
def test_much_that_is_said_of_a_picture_is_no_reason_to_refuse_it(
    kind: str, behind: bool, megabytes: float
) -> None:
    """An editor's history of some megabytes stands in real files."""
    text = bytes(range(32, 127)) * int(megabytes * 2**20 / 95)
    packed = zlib.compress(text)
    body = {
        "iTXt": b"XML:com.adobe.xmp\0\1\0\0\0" + packed,
        "zTXt": b"Comment\0\0" + packed,
        "iCCP": b"profile\0\0" + packed,
    }[kind]
    if kind == "iCCP" and behind:
        return  # a profile stands before the picture
    assert seen(with_chunk(chunk(kind.encode(), body), behind=behind)).width == 256


def test_a_bomb_of_text_is_refused() -> None:
    """More than the 32 MiB that may be said of a picture is an attack."""
    packed = zlib.compress(bytes(80 * 2**20))
    with pytest.raises(Permanent) as caught:
        seen(with_chunk(chunk(b"zTXt", b"Comment\0\0" + packed)))
    assert caught.value.code == "image_too_complex"

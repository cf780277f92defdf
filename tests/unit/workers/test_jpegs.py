"""A JPEG is shown where its pixels are whole, whatever stands around them; a part of one is never passed off."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from tests.unit.workers.pictures import seen
from workers.failures import Permanent
from workers.imaging.jpegs import mended

EOI = b"\xff\xd9"
TRAILERS = {
    "nothing": b"",
    "a phone's data": b"SEFH\x6b\x00\x00\x00" + bytes(range(200)) * 9 + b"SEFT",
    "another picture": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01" + bytes(9) + b"\xff\xd9",
    "a video": b"\x00\x00\x00\x18ftypmp42" + b"\x00\xff\xfe\x12\xff\xd8" * 300,
}
WAYS: dict[str, dict[str, object]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "grey": {"mode": "L"},
    "restarts": {"restart_marker_rows": 1},
    "full colour": {"subsampling": 0},
}


def jpeg(**options: object) -> bytes:
    """Draw a picture whose every part differs, so that a missing part shows."""
    small = Image.radial_gradient("L").resize((330, 250))
    picture = Image.merge("RGB", (small, small.rotate(90), Image.effect_noise((330, 250), 60)))
    picture = picture.convert(str(options.pop("mode", "RGB")))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88, **options)
    return out.getvalue()


@pytest.mark.parametrize("trailer", TRAILERS.values(), ids=TRAILERS.keys())
@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())
def test_a_missing_end_is_added(options: dict[str, object], trailer: bytes) -> None:
    """Alone or before what a phone wrote behind it, a picture whose rows are all there is shown as it is."""
    data = jpeg(**options)
    assert data.endswith(EOI)
    found, whole = seen(data[:-2] + trailer), seen(data)
    assert [one.data for one in found.variants] == [one.data for one in whole.variants]
    assert not found.partial


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())
def test_a_part_is_no_picture(options: dict[str, object]) -> None:
    """Cut anywhere in what is drawn, it is refused as truncated; nobody sees grey where damage should be."""
    data = jpeg(**options)
    first = data.index(b"\xff\xda") + 20
    cuts = [first + (len(data) - 40 - first) * part // 24 for part in range(25)]
    for cut in cuts:
        with pytest.raises(Permanent) as caught:
            seen(data[:cut])
        assert caught.value.code == "image_truncated", cut


def test_a_part_that_ends_at_a_restart_is_no_picture() -> None:
    """A decoder that waits for the next restart passes everything else by, and would leave the rest grey."""
    data = jpeg(restart_marker_rows=1)
    restarts = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    assert len(restarts) > 10
    for at in restarts:
        for cut in (at, at + 1, at + 2):
            with pytest.raises(Permanent) as caught:
                seen(data[:cut])
            assert caught.value.code == "image_truncated", cut


@pytest.mark.parametrize("stray", [b"\x00", b"\x00" * 40, b"abc", b"\xff\x00\x12"])
def test_stray_bytes_between_segments_are_passed_over(stray: bytes) -> None:
    """As every viewer does."""
    data = jpeg()
    at = data.index(b"\xff\xdb")
    assert seen(data[:at] + stray + data[at:]).variants[0].data == seen(data).variants[0].data


@pytest.mark.parametrize("length", [5, 7, 8, 12])
def test_a_short_jfif_segment_is_left_out(length: int) -> None:
    """It says nothing that a viewer needs."""
    data = jpeg()
    size = int.from_bytes(data[4:6], "big")
    short = b"\xff\xe0" + (length + 2).to_bytes(2, "big") + b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01"[:length]
    found = seen(data[:2] + short + data[4 + size :])
    assert (found.width, found.height) == (330, 250)


def test_a_usual_file_is_not_touched() -> None:
    """Nothing is mended where nothing is odd, or where nobody knows what is."""
    assert mended(jpeg()) is None
    assert mended(b"\xff\xd8") is None
    assert mended(b"\xff\xd8\xff\xc0\x00\x02") is None
    assert mended(b"\xff\xd8" + b"\xff" * 50) is None

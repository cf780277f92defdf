"""Pictures from outside that once came out wrong come out as their manifest says, judged by their pixels.

The files stand beside the checkout (`../shared/corpus/outside`, or in `outside` where CORPUS_DIR says). A clone
without them tests the same kinds with pictures that its other tests draw.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import ImageStat

from tests.unit.workers.pictures import colour, near, seen, variant
from workers.failures import Permanent
from workers.imaging.rendering import Rendering

OUTSIDE = (
    Path(os.environ.get("CORPUS_DIR") or Path(__file__).resolve().parents[4] / "shared" / "corpus")
    / "outside"
)

pytestmark = pytest.mark.skipif(
    not OUTSIDE.is_dir(), reason=f"no corpus at {OUTSIDE}; CORPUS_DIR names another place"
)

# Where the drawing of a house by a meadow has its red wall, and the white end of its grey scale.
WALL, WHITE, BRICK = (0.33, 0.55), (0.91, 0.65), (200, 60, 50)


def rendered(name: str) -> Rendering:
    return seen((OUTSIDE / name).read_bytes())


def is_the_house(found: Rendering) -> bool:
    return (
        (found.width, found.height) == (640, 480)
        and near(colour(found, at=WALL), BRICK, 6)
        and min(colour(found, at=WHITE)) >= 230
    )


def is_the_house_upright(found: Rendering) -> bool:
    plain = variant(rendered("02b-the-same-as-jpeg.jpg"), "small").convert("RGB")
    shown = variant(found, "small").convert("RGB")
    return (
        found.orientation == 6 and shown.size == plain.size == (120, 160) and _alike(found, plain.tobytes())
    )


def _alike(found: Rendering, wanted: bytes) -> bool:
    shown = variant(found, "small").convert("RGB").tobytes()
    return sum(abs(one - other) for one, other in zip(shown, wanted, strict=True)) / len(wanted) < 4


def is_as_bright_as_its_base(found: Rendering) -> bool:
    """Compare with the very scene in SDR: brightness within 15 %, saturation within 30 %."""
    brightness, saturation = zip(_mean(found), _mean(rendered("sdr-with-gain-map.avif")), strict=True)
    return (
        abs(brightness[0] / brightness[1] - 1) < 0.15
        and abs(saturation[0] / saturation[1] - 1) < 0.30
        and found.color_space == "BT.2020 PQ"
    )


def _mean(found: Rendering) -> tuple[float, float]:
    shown = variant(found, "large")
    return ImageStat.Stat(shown.convert("L")).mean[0], ImageStat.Stat(shown.convert("HSV")).mean[1]


def has_size(width: int, height: int) -> Callable[[Rendering], bool]:
    return lambda found: (found.width, found.height) == (width, height)


def has_its_place(found: Rendering) -> bool:
    return found.gps == {"latitude": 48.85, "longitude": 2.35} and (found.width, found.height) == (640, 480)


RIGHT: dict[str, Callable[[Rendering], bool]] = {
    "00-plain.jpg": is_the_house,
    "01-altitude-minus-12-unsigned.jpg": has_its_place,
    "02-exif-orientation-6-no-irot.heic": is_the_house_upright,
    "02b-the-same-as-jpeg.jpg": is_the_house_upright,
    "03-scanner-8-bit-colour-map.tif": lambda found: near(colour(found, at=WALL), BRICK, 12),
    "06-jpeg-without-its-last-two-bytes.jpg": is_the_house,
    "11-png-xmp-history-compressed.png": is_the_house,
    "14-stray-bytes-between-segments.jpg": is_the_house,
    "30-hdr-pq-bt2020-10-bit.avif": is_the_house,
    "32-display-p3-by-cicp-only.avif": is_the_house,
    "33-png-gama-linear.png": is_the_house,
    "36-png-with-the-same-profile.png": is_the_house,
    "37-bigtiff-big-endian.tif": has_size(320, 240),
    "43-clap-320x240.avif": has_size(320, 240),
    "alpha-without-ispe.avif": has_size(80, 80),
    "clap-crop.avif": has_size(180, 100),
    "hdr-pq-bt2020.avif": is_as_bright_as_its_base,
    "sdr-with-gain-map.avif": lambda found: found.color_space == "sRGB" and 160 < _mean(found)[0] < 173,
}


@pytest.mark.parametrize("name", RIGHT)
def test_it_comes_out_right(name: str) -> None:
    """As other viewers show it."""
    assert RIGHT[name](rendered(name))


def test_a_raw_file_is_refused() -> None:
    """Its preview of 160 pixels is never shown as the picture."""
    with pytest.raises(Permanent, match="a raw camera file") as caught:
        rendered("05-raw-with-small-preview.dng")
    assert caught.value.code == "image_unsupported"


def test_every_file_is_judged() -> None:
    """A file that is added to the folder needs a row here."""
    there = {path.name for path in OUTSIDE.iterdir() if path.suffix != ".json"}
    assert there == {*RIGHT, "05-raw-with-small-preview.dng"}

"""HDR pictures (PQ, HLG) are shown as a plain screen shows their scene: neither flat and grey nor burnt out."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Callable

import pillow_heif
import pytest
from PIL import Image

from tests.containers import clap, deep_png, with_cicp, with_properties
from tests.unit.workers.pictures import colour, near, saved, seen, variant
from workers.imaging.depth import planes_of
from workers.imaging.limits import Limits
from workers.imaging.recipe import render
from workers.imaging.variants import parse

SIZE = (256, 64)
Shade = Callable[[int], tuple[float, float, float]]  # the values, 0 to 1, of a column


def pq(nits: float) -> float:
    """Return the PQ value of a light, by the definition (SMPTE ST 2084)."""
    power = (nits / 10_000) ** (2610 / 16384)
    return float(((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


def bars(*lights: float) -> Shade:
    """Return grey bars of these lights in nits."""
    return lambda x: (pq(lights[x * len(lights) // SIZE[0]]),) * 3


def samples(shade: Shade, order: str = "<", channels: int = 3) -> bytes:
    row = b"".join(
        struct.pack(f"{order}{channels}H", *(round(65535 * part) for part in (*shade(x), 1.0)[:channels]))
        for x in range(SIZE[0])
    )
    return row * SIZE[1]


def heic(shade: Shade, primaries: int = 9, transfer: int = 16, **options: object) -> bytes:
    """Return ten bits a channel, without loss of more than the coding of colour costs."""
    out = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", SIZE, samples(shade)).save(
        out,
        quality=95,
        chroma=444,
        color_primaries=primaries,
        transfer_characteristics=transfer,
        matrix_coefficients=9,
        full_range_flag=1,
        **options,
    )
    return out.getvalue()


def avif(shade: Shade, primaries: int = 9, transfer: int = 16) -> bytes:
    """Return eight bits a channel: what the encoder at hand writes."""
    row = bytes(round(255 * part) for x in range(SIZE[0]) for part in shade(x))
    picture = Image.frombytes("RGB", SIZE, row * SIZE[1])
    return with_cicp(saved(picture, "AVIF", quality=100, subsampling="4:4:4"), primaries, transfer)


def png(shade: Shade, primaries: int = 9, transfer: int = 16, *, channels: int = 3) -> bytes:
    """Return sixteen bits a channel."""
    cicp = bytes((primaries, transfer, 0, 1))
    return deep_png(SIZE, samples(shade, ">", channels), channels=channels, cicp=cicp)


WRITERS = pytest.mark.parametrize("written", [heic, avif, png])


def greys(data: bytes, count: int) -> list[int]:
    """Return the grey in the middle of each bar."""
    rendering = seen(data)
    values = [colour(rendering, at=((at + 0.5) / count, 0.5)) for at in range(count)]
    assert all(max(value) - min(value) <= 4 for value in values), "grey stays grey"
    return [value[1] for value in values]


@WRITERS
def test_light_up_to_reference_white_is_what_it_is(written: Callable[[Shade], bytes]) -> None:
    """203 nits are white, and below it nothing is changed: 100 nits are the 186 of sRGB, 20 are 89."""
    found = greys(written(bars(0, 5, 20, 100, 203)), 5)
    assert near(tuple(found), (0, 43, 89, 186, 255), 5)


@WRITERS
def test_brighter_light_is_rolled_off_and_not_cut(written: Callable[[Shade], bytes]) -> None:
    """Up to 1,000 nits every step is seen, white stays nearly white, and shadows stay where they are."""
    found = greys(written(bars(5, 50, 203, 400, 700, 1000)), 6)
    assert near(tuple(found), (43, 136, 229, 250, 254, 255), 5)
    assert found == sorted(found)


@WRITERS
def test_hybrid_log_gamma_has_its_own_curve(written: Callable[[Shade, int, int], bytes]) -> None:
    """Three quarters of HLG are reference white; a half is 51 nits."""
    found = greys(written(lambda x: ((0.0, 0.25, 0.5, 0.75)[x // 64],) * 3, 9, 18), 4)
    assert near(tuple(found), (0, 61, 137, 255), 5)


@WRITERS
@pytest.mark.parametrize(
    ("primaries", "lights"),
    [
        # Linear light of the sRGB brick (200, 60, 50) at 203 nits, in BT.2020, Display P3 and BT.709.
        (9, (0.3782, 0.0785, 0.0424)),
        (12, (0.4782, 0.0614, 0.0410)),
        (1, (0.5776, 0.0452, 0.0319)),
    ],
)
def test_primaries_are_converted(
    written: Callable[[Shade, int], bytes], primaries: int, lights: tuple[float, float, float]
) -> None:
    """A red wall is as red as in a plain photo of it."""
    red, green, blue = (pq(203 * light) for light in lights)
    assert near(colour(seen(written(lambda x: (red, green, blue), primaries))), (200, 60, 50), 8)


@pytest.mark.parametrize("matrix", [0, 1, 5, 6, 9, 12])
def test_the_exact_path_of_avif_changes_no_colour(matrix: int) -> None:
    """Whatever matrix a file names, its colours are those that its own decoder makes of it, but for rounding."""
    red, green, blue = (pq(203 * light) for light in (0.3782, 0.0785, 0.0424))
    data = avif(lambda x: (red, green, blue) if x < 128 else (pq(100),) * 3)
    at = data.index(b"colrnclx") + 12
    data = data[:at] + struct.pack(">H", matrix) + data[at + 2 :]
    with Image.open(io.BytesIO(data)) as decoded:
        wanted = [tuple(value / 255 for value in decoded.convert("RGB").getpixel((x, 32))) for x in (64, 192)]
    planes = planes_of(Image.open(io.BytesIO(data)), data, size=SIZE, matrix_at=at)
    found = [tuple(plane.getpixel((x, 32)) for plane in planes) for x in (64, 192)]
    assert all(
        abs(one - other) < 1.5 / 255
        for pair in zip(found, wanted, strict=True)
        for one, other in zip(*pair, strict=True)
    )


@pytest.mark.parametrize("written", [heic, png])
def test_an_even_sky_has_no_steps(written: Callable[[Shade], bytes]) -> None:
    """Sixteen bits are used where the file has them: neighbours differ by what a screen can show, and no more."""
    data = written(lambda x: (pq(60 + x / 8),) * 3)
    fine = parse("large 1280 avif q100, medium 480, small 160")  # a JPEG would blur the steps
    row = variant(render(data, limits=Limits(), recipe=fine), "large").convert("L").crop((8, 32, 248, 33))
    greys = row.tobytes()
    assert max(abs(one - other) for one, other in itertools.pairwise(greys)) <= 2
    assert len(set(greys)) >= 26, "of 31; eight bits have 11, four apart"


@pytest.mark.parametrize("name", ["BT.2020 PQ", "BT.2020 HLG", "Display P3 PQ", "BT.709 PQ", "BT.2020 PQ "])
def test_the_record_says_what_the_file_was(name: str) -> None:
    """And not that it is sRGB, which only its thumbnails are."""
    numbers = {"BT.2020 PQ": (9, 16), "BT.2020 HLG": (9, 18), "Display P3 PQ": (12, 16), "BT.709 PQ": (1, 16)}
    said = numbers.get(name, (2, 16))  # primaries left open are those of HDR
    for written in (heic, avif, png):
        assert seen(written(bars(100), *said)).color_space == name.strip()


def test_transparency_is_not_tone_mapped() -> None:
    """Half transparent black is middle grey, in sixteen bits too."""
    row = struct.pack("<4H", 0, 0, 0, 32768) * SIZE[0]
    out = io.BytesIO()
    pillow_heif.from_bytes("RGBA;16", SIZE, row * SIZE[1]).save(
        out, quality=95, color_primaries=9, transfer_characteristics=16, matrix_coefficients=9
    )
    assert near(colour(seen(out.getvalue())), (127, 127, 127), 4)
    assert near(colour(seen(png(bars(100), channels=4))), (186, 186, 186), 4)


@pytest.mark.parametrize("written", [heic, avif])
def test_an_hdr_picture_is_cropped_too(written: Callable[[Shade], bytes]) -> None:
    """The clean aperture holds whatever the curve."""
    data = with_properties(written(bars(0, 203)), clap(100, 40, 70, 0))
    rendering = seen(data)
    assert (rendering.width, rendering.height) == (100, 40)
    assert variant(rendering, "large").convert("L").getextrema()[0] > 245


def test_numbers_inside_a_profile_are_believed_where_they_speak_of_hdr() -> None:
    """The curves of such a profile are a stopgap that would show 10,000 nits as white and all else as night."""
    body = b"cicp" + bytes(4) + bytes((9, 16, 0, 1))
    head = bytes(128) + struct.pack(">I4sII", 1, b"cicp", 144, len(body))
    picture = Image.new("RGB", (64, 64), (148,) * 3)  # 203 nits
    for format_ in ("JPEG", "PNG", "WEBP", "TIFF"):
        rendering = seen(saved(picture, format_, icc_profile=head + body))
        assert min(colour(rendering)) > 245
        assert rendering.color_space == "BT.2020 PQ"


def test_grey_is_tone_mapped_as_grey() -> None:
    """One channel of brightness follows the same curve."""
    grey = saved(Image.new("L", (64, 64), 130), "AVIF", quality=100)
    assert near(colour(seen(with_cicp(grey, 9, 16))), (186, 186, 186), 4)


def test_a_large_picture_keeps_its_values() -> None:
    """Made smaller before it is tone-mapped, strip by strip: no seam, and the same greys."""
    picture = Image.new("RGB", (2000, 3000), (130, 130, 130))
    data = with_cicp(saved(picture, "AVIF", quality=90, speed=10), 9, 16)
    rendering = seen(data)
    assert (rendering.variants[0].width, rendering.variants[0].height) == (853, 1280)
    lowest, highest = variant(rendering, "large").convert("L").getextrema()
    assert 183 <= lowest <= highest <= 189

"""Colour that a file tells outside of a profile is believed: numbers (CICP), gAMA and cHRM, the header of a JP2."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from tests.containers import with_cicp, with_jp2_colour
from tests.unit.workers.pictures import colour, matrix_profile, near, quadrants, saved, seen

# What pure sRGB red, and a brick of (200, 60, 50), are in Display P3 and in BT.2020, both with the curve of sRGB.
P3_RED, P3_BRICK, BRICK = (234, 51, 35), (184, 70, 57), (200, 60, 50)
BT2020_RED = (202, 71, 28)
LOSSLESS: dict[str, dict[str, Any]] = {
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": -1, "chroma": 444},
}
SRGB_CHRM = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_CHRM = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
ADOBE_CHRM = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
ADOBE_PROFILE = matrix_profile(
    (0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446), 2.2
)


def filled(value: Any, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (200, 150), value)


def said(format_: str, value: tuple[int, ...], primaries: int, transfer: int) -> bytes:
    """Return a file of one colour whose numbers say what it means."""
    if format_ == "PNG":
        return png(filled(value), cICP=bytes((primaries, transfer, 0, 1)))
    return with_cicp(saved(filled(value), format_, **LOSSLESS[format_]), primaries, transfer)


def png(picture: Image.Image, *, icc_profile: bytes | None = None, **chunks: bytes) -> bytes:
    """Return a PNG with these chunks before its pixels."""
    info = PngImagePlugin.PngInfo()
    for name, body in chunks.items():
        info.add(name.encode(), body)
    profile = {} if icc_profile is None else {"icc_profile": icc_profile}
    return saved(picture, "PNG", pnginfo=info, **profile)


def gama(value: int) -> bytes:
    return struct.pack(">I", value)


def chrm(values: tuple[int, ...]) -> bytes:
    return struct.pack(">8I", *values)


@pytest.mark.parametrize("format_", ["AVIF", "HEIF", "PNG"])
@pytest.mark.parametrize(
    ("numbers", "stored", "looks", "name"),
    [
        ((12, 13), P3_RED, (255, 0, 0), "Display P3"),
        ((12, 1), P3_BRICK, BRICK, "Display P3"),
        ((9, 13), BT2020_RED, (255, 0, 0), "BT.2020"),
        ((9, 14), BT2020_RED, (255, 0, 0), "BT.2020"),
        ((1, 8), (146, 11, 8), BRICK, "gamma 1.0"),
        ((1, 4), (199, 61, 52), BRICK, "gamma 2.2"),
        ((1, 13), BRICK, BRICK, "sRGB"),
        ((1, 1), BRICK, BRICK, "sRGB"),
        ((2, 2), BRICK, BRICK, "sRGB"),
        ((200, 201), BRICK, BRICK, "sRGB"),
    ],
)
def test_numbers_say_what_colours_mean(
    format_: str, numbers: tuple[int, int], stored: tuple[int, ...], looks: tuple[int, ...], name: str
) -> None:
    """Primaries and curve are honoured alike in the three containers, and the record names them."""
    rendering = seen(said(format_, stored, *numbers))
    assert near(colour(rendering), looks, 8)
    assert rendering.color_space == name


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_numbers_that_say_srgb_change_no_byte(mode: str) -> None:
    """A picture that is sRGB already, under whatever name, stays as it is."""
    picture = quadrants().quantize(8) if mode == "P" else quadrants().convert(mode)
    plain = seen(png(picture))
    for chunks in (
        {"cICP": bytes((1, 13, 0, 1))},
        {"sRGB": b"\0"},
        {"gAMA": gama(45455)},
        {"gAMA": gama(45455), "cHRM": chrm(SRGB_CHRM)},
        {"sRGB": b"\0", "gAMA": gama(100000), "cHRM": chrm(ADOBE_CHRM)},
    ):
        assert seen(png(picture, **chunks)).variants == plain.variants
    if mode in ("RGB", "L"):
        data = saved(picture, "AVIF")
        plain = seen(with_cicp(data, 2, 2))
        assert all(seen(with_cicp(data, 1, curve)).variants == plain.variants for curve in (1, 6, 13, 14, 15))


@pytest.mark.parametrize(
    ("chunks", "stored", "looks", "name"),
    [
        ({"gAMA": gama(100000)}, (146, 11, 8), BRICK, "gamma 1.0"),
        ({"gAMA": gama(55556)}, (187, 43, 34), BRICK, "gamma 1.8"),
        ({"gAMA": gama(45455), "cHRM": chrm(P3_CHRM)}, P3_RED, (255, 0, 0), "Display P3"),
        ({"cHRM": chrm(P3_CHRM)}, P3_BRICK, BRICK, "Display P3"),
        ({"gAMA": gama(45455), "cHRM": chrm(ADOBE_CHRM)}, (219, 0, 0), (255, 0, 0), "Adobe RGB"),
        ({"gAMA": gama(100000), "cHRM": chrm(P3_CHRM)}, (123, 16, 10), BRICK, "Display P3 gamma 1.0"),
    ],
)
def test_a_png_says_it_by_gama_and_chrm(
    chunks: dict[str, bytes], stored: tuple[int, ...], looks: tuple[int, ...], name: str
) -> None:
    """Gamma and chromaticities are honoured, each alone and together."""
    rendering = seen(png(filled(stored), **chunks))
    assert near(colour(rendering), looks, 7)
    assert rendering.color_space == name


@pytest.mark.parametrize(
    ("chunks", "profile", "looks"),
    [
        ({"cICP": bytes((12, 13, 0, 1)), "sRGB": b"\0", "gAMA": gama(100000)}, ADOBE_PROFILE, (255, 0, 0)),
        ({"gAMA": gama(100000), "cHRM": chrm(P3_CHRM)}, ADOBE_PROFILE, (255, 48, 32)),
        ({"sRGB": b"\0", "gAMA": gama(100000), "cHRM": chrm(P3_CHRM)}, None, P3_RED),
        ({"cICP": bytes((12, 13, 5, 1)), "sRGB": b"\0"}, None, P3_RED),
        ({"cICP": b"\x0c"}, None, P3_RED),
    ],
)
def test_a_png_that_says_it_twice_is_believed_in_order(
    chunks: dict[str, bytes], profile: bytes | None, looks: tuple[int, ...]
) -> None:
    """First cICP, then the profile, then sRGB, then gAMA and cHRM; a cICP that PNG forbids says nothing."""
    assert near(colour(seen(png(filled(P3_RED), icc_profile=profile, **chunks))), looks, 8)


@pytest.mark.parametrize(
    "chunks",
    [
        {"gAMA": gama(0)},
        {"gAMA": gama(2**32 - 1)},
        {"gAMA": gama(1)},
        {"cHRM": bytes(32)},
        {"cHRM": chrm((31270, 32900, *([30000, 30000] * 3)))},
        {"cHRM": chrm((31270, 0, *P3_CHRM[2:]))},
        {"cHRM": chrm((1, 1, *P3_CHRM[2:]))},
        {"cHRM": b"\xff" * 32},
    ],
)
def test_chunks_that_cannot_be_true_are_not_believed(chunks: dict[str, bytes]) -> None:
    """Nonsense costs nobody a picture: it counts as sRGB."""
    rendering = seen(png(filled(BRICK), **chunks))
    assert near(colour(rendering), BRICK)
    assert rendering.color_space == "sRGB"


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "P", "RGBA"])
def test_gamma_holds_in_every_mode(mode: str) -> None:
    """Linear middle grey is the 188 of sRGB in grey, with a palette and with transparency; that is not bent."""
    stored: dict[str, Any] = {"L": 128, "LA": (128, 255), "I;16": 32896, "P": 0, "RGBA": (128, 128, 128, 255)}
    picture = filled(stored[mode], mode)
    if mode == "P":
        picture.putpalette([128, 128, 128] * 2)
    assert near(colour(seen(png(picture, gAMA=gama(100000)))), (188,) * 3, 2)
    if mode in ("LA", "RGBA"):
        picture.putalpha(128)
        assert near(colour(seen(png(picture, gAMA=gama(100000)))), (221,) * 3, 2)


def test_a_narrow_range_is_widened() -> None:
    """A PNG may keep black at 16 and white at 235, as video does."""
    narrow = bytes((1, 13, 0, 0))
    for stored, looks in (
        ((16, 16, 16), (0, 0, 0)),
        ((235, 235, 235), (255, 255, 255)),
        ((188, 68, 59), BRICK),
    ):
        assert near(colour(seen(png(filled(stored), cICP=narrow))), looks, 2)


def test_a_profile_in_an_avif_is_believed_before_its_numbers() -> None:
    """As the standard has it; the numbers still hold for how the planes become red, green and blue."""
    data = saved(filled((219, 0, 0)), "AVIF", icc_profile=ADOBE_PROFILE, **LOSSLESS["AVIF"])
    assert near(colour(seen(with_cicp(data, 12, 13))), (255, 0, 0), 8)


def test_an_animation_says_it_of_its_frames() -> None:
    """In an AVIF that is a film, the track tells the colours of the frame that is shown."""
    frames = [filled(P3_RED), filled((10, 200, 10))]
    data = saved(frames[0], "AVIF", save_all=True, append_images=frames[1:], **LOSSLESS["AVIF"])
    at = data.index(b"colrnclx", data.index(b"moov"))
    rendering = seen(data[: at + 8] + struct.pack(">HH", 12, 13) + data[at + 12 :])
    assert rendering.frames == 2
    assert near(colour(rendering), (255, 0, 0), 8)
    assert rendering.color_space == "Display P3"


def jp2(picture: Image.Image, kind: int, body: bytes) -> bytes:
    return with_jp2_colour(saved(picture, "JPEG2000", mct=0), kind, body)


@pytest.mark.parametrize("kind", [2, 3])
def test_a_profile_in_a_jp2_is_applied(kind: int) -> None:
    """Restricted or any: both kinds of profile are read from the header."""
    rendering = seen(jp2(filled((219, 0, 0)), kind, ADOBE_PROFILE))
    assert near(colour(rendering), (255, 0, 0), 6)
    assert rendering.color_space == "test"


@pytest.mark.parametrize("size", [(360, 240), (3000, 2000)])
def test_brightness_and_colour_in_a_jp2_are_understood(size: tuple[int, int]) -> None:
    """A JP2 in sYCC shows its colours, decoded whole or at a smaller scale."""
    picture = quadrants(size)
    stored = Image.frombytes("RGB", picture.size, picture.convert("YCbCr").tobytes())
    rendering = seen(jp2(stored, 1, struct.pack(">I", 18)))
    assert near(colour(rendering, at=(0.25, 0.5)), (220, 30, 30), 8)
    assert near(colour(rendering, at=(0.75, 0.25)), (30, 30, 220), 8)
    assert rendering.color_space == "sYCC"


def test_numbers_in_a_jp2_are_believed() -> None:
    """The newest kind of colour box holds CICP."""
    rendering = seen(jp2(filled(P3_RED), 5, struct.pack(">HHHB", 12, 13, 0, 0x80)))
    assert near(colour(rendering), (255, 0, 0), 6)
    assert rendering.color_space == "Display P3"

"""What the record learns from a picture's metadata, and that none of it reaches a thumbnail."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from PIL import ExifTags, Image

from tests.unit.workers.jpegs import only_a_picture
from tests.unit.workers.pictures import matrix_profile, quadrants, saved, seen

BASE, GPS = ExifTags.Base, ExifTags.GPS
TAKEN = {BASE.DateTimeOriginal: "2024:05:06 07:08:09"}
PLACE = {
    GPS.GPSLatitudeRef: "N",
    GPS.GPSLatitude: (52.0, 22.0, 12.0),
    GPS.GPSLongitudeRef: "W",
    GPS.GPSLongitude: (4.0, 53.0, 42.0),
}


def with_exif(
    main: dict[int, Any] | None = None,
    details: dict[int, Any] | None = None,
    place: dict[int, Any] | None = None,
    format_: str = "JPEG",
) -> bytes:
    exif = Image.Exif()
    exif.update(main or {})
    exif.get_ifd(ExifTags.IFD.Exif).update(details or {})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(place or {})
    return saved(quadrants((64, 48)), format_, exif=exif.tobytes())


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_facts_are_read_in_every_format_that_has_them(format_: str) -> None:
    """Camera, time and place reach the record."""
    main = {BASE.Make: "ACME", BASE.Model: "Cam 1"}
    zone = {BASE.OffsetTimeOriginal: "+02:00"}
    rendering = seen(with_exif(main, TAKEN | zone, PLACE, format_))
    assert rendering.camera == "ACME Cam 1"
    assert rendering.taken_at == "2024-05-06T07:08:09+02:00"
    assert rendering.gps == {"latitude": 52.37, "longitude": -4.895}


@pytest.mark.parametrize(
    ("details", "taken_at"),
    [
        (TAKEN, "2024-05-06T07:08:09"),
        (TAKEN | {BASE.OffsetTimeOriginal: "-05:30"}, "2024-05-06T07:08:09-05:30"),
        (TAKEN | {BASE.OffsetTimeOriginal: "somewhere"}, "2024-05-06T07:08:09"),
        (TAKEN | {BASE.OffsetTimeDigitized: "+02:00"}, "2024-05-06T07:08:09"),
        ({BASE.DateTimeDigitized: "2024:05:06 07:08:09"}, "2024-05-06T07:08:09"),
        ({BASE.DateTimeOriginal: "0000:00:00 00:00:00"}, None),
        ({BASE.DateTimeOriginal: "    :  :     :  :  "}, None),
        ({BASE.DateTimeOriginal: "yesterday"}, None),
        ({}, None),
    ],
)
def test_a_zone_is_told_and_never_guessed(details: dict[int, Any], taken_at: str | None) -> None:
    """A time is as exact as the camera wrote it, and impossible ones are absent."""
    assert seen(with_exif(details=details)).taken_at == taken_at


@pytest.mark.parametrize(
    ("main", "camera"),
    [
        ({BASE.Make: "Canon", BASE.Model: "Canon EOS 5D"}, "Canon EOS 5D"),
        ({BASE.Make: "NIKON CORPORATION", BASE.Model: "NIKON D90"}, "NIKON D90"),
        ({BASE.Model: "Cam\x07 1\0hidden"}, "Cam 1"),
        ({BASE.Make: "A" * 5000}, "A" * 100),
        ({BASE.Make: "   "}, None),
        ({}, None),
    ],
)
def test_a_camera_is_named_once_and_in_printable_text(main: dict[int, Any], camera: str | None) -> None:
    """What a file says becomes one short line."""
    assert seen(with_exif(main)).camera == camera


@pytest.mark.parametrize(
    "wrong",
    [
        {GPS.GPSLatitudeRef: ""},
        {GPS.GPSLatitudeRef: "E"},
        {GPS.GPSLatitude: (95.0, 0.0, 0.0)},
        {GPS.GPSLongitude: (4.0, 53.0)},
        {GPS.GPSLatitude: ()},
    ],
)
def test_a_place_that_makes_no_sense_is_no_place(wrong: dict[int, Any]) -> None:
    """Half a coordinate is none."""
    assert seen(with_exif(place=PLACE | wrong)).gps is None


def test_heights_below_the_sea_are_negative() -> None:
    """Altitude is kept where it is known."""
    place = PLACE | {GPS.GPSAltitude: 12.5, GPS.GPSAltitudeRef: b"\x01"}
    assert seen(with_exif(place=place)).gps == {"latitude": 52.37, "longitude": -4.895, "altitude": -12.5}


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0" + b"\xff" * 300, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"nonsense"]
)
def test_broken_metadata_fails_no_picture(exif: bytes) -> None:
    """Facts are absent, thumbnails are not."""
    rendering = seen(saved(quadrants((64, 48)), "JPEG", exif=exif))
    assert (rendering.camera, rendering.taken_at, rendering.gps) == (None, None, None)
    assert len(rendering.variants) == 3


def test_nothing_but_the_picture_comes_out() -> None:
    """No EXIF, place, comment, XMP, profile or appended byte is in a thumbnail."""
    exif = Image.Exif()
    exif[BASE.Artist] = "SECRET"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(PLACE)
    profile = matrix_profile(
        (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141), 1.8
    )
    for format_ in ("JPEG", "PNG", "TIFF", "WEBP", "MPO"):
        picture = quadrants((64, 48))
        options = {"exif": exif.tobytes(), "icc_profile": profile, "xmp": b"<x:xmpmeta>SECRET</x:xmpmeta>"}
        if format_ == "JPEG":
            options["comment"] = b"SECRET"
        for each in seen(saved(picture, format_, **options) + b"SECRET").variants:
            assert only_a_picture(each.data)
            assert b"SECRET" not in each.data


@pytest.mark.parametrize(
    ("details", "taken_at"),
    [
        ({BASE.DateTimeOriginal: " " * 19}, "2023-01-02T03:04:05"),
        ({BASE.DateTimeOriginal: "    :  :     :  :  "}, "2023-01-02T03:04:05"),
        ({BASE.DateTimeOriginal: "0000:00:00 00:00:00"}, "2023-01-02T03:04:05"),
        ({BASE.DateTimeOriginal: ""}, "2023-01-02T03:04:05"),
        ({}, "2023-01-02T03:04:05"),
        (TAKEN, "2024-05-06T07:08:09"),
    ],
)
def test_a_blank_time_hides_no_good_one(details: dict[int, Any], taken_at: str) -> None:
    """Where the time of taking says nothing, that of digitizing is kept."""
    details = {**details, BASE.DateTimeDigitized: "2023:01:02 03:04:05"}
    assert seen(with_exif(details=details)).taken_at == taken_at


@pytest.mark.parametrize("height", [4294967284.0, 10**9, 100_001, float(2**32 - 1)])
def test_a_height_that_cannot_be_true_is_left_out(height: float) -> None:
    """A height below the sea that was written without its sign decides nothing: the place stays."""
    found = seen(with_exif(place={**PLACE, GPS.GPSAltitude: height}))
    assert found.gps is not None
    assert "altitude" not in found.gps


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _exif() -> bytes:
    exif = Image.Exif()
    exif.update({BASE.Make: "ACME", BASE.Model: "Cam 1"})
    return exif.tobytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["exif", "APP1"])
def test_exif_is_read_from_the_text_of_a_png(name: str, packed: bool) -> None:
    """As ImageMagick and its kin write it."""
    lines = b"\n".join(_exif().hex().encode()[at : at + 72] for at in range(0, 2 * len(_exif()), 72))
    text = b"\n" + name.lower().encode() + b"\n%8d\n" % len(_exif()) + lines + b"\n"
    body = b"Raw profile type " + name.encode() + b"\0" + (b"\0" + zlib.compress(text) if packed else text)
    plain = saved(quadrants((64, 48)), "PNG")
    data = plain[:33] + _chunk(b"zTXt" if packed else b"tEXt", body) + plain[33:]
    assert seen(data).camera == "ACME Cam 1"


@pytest.mark.parametrize("identity", ["0537cdab9d0c4431a72afa561f2a113e", "4a706754696666457869662d3e4a5032"])
def test_exif_is_read_from_a_box_of_jpeg_2000(identity: str) -> None:
    """In the two boxes that writers of JP2 use."""
    plain = saved(quadrants((64, 48)), "JPEG2000")
    at = plain.index(b"jp2c") - 4
    body = bytes.fromhex(identity) + _exif().removeprefix(b"Exif\0\0")
    box = struct.pack(">I", 8 + len(body)) + b"uuid" + body
    assert seen(plain[:at] + box + plain[at:]).camera == "ACME Cam 1"

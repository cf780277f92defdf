"""Read from a picture's metadata what the record keeps: camera, lens, exposure, time taken, place.

Metadata is the most broken part of real files and never fails a good picture: every fact is read on its
own, and one that cannot be read, or makes no sense, is absent. Nothing is guessed: a camera that wrote no
zone gets a time without one.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from PIL import ExifTags, Image

from workers.imaging.isobmff import boxes

T = TypeVar("T")
_ZONE = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d\Z")
_LONGEST = 100
_EXIF = b"Exif\0\0"
# Of Adobe's writers and exiftool, and of the older `JpgTiffExif->JP2`.
_EXIF_BOXES = (
    bytes.fromhex("0537cdab9d0c4431a72afa561f2a113e"),
    bytes.fromhex("4a706754696666457869662d3e4a5032"),
)
_TIMES = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
)
_DEEPEST, _HIGHEST = -12_000.0, 100_000.0  # metres, where a picture can have been taken


def taken_at(picture: Image.Image) -> str | None:
    """Return when the picture was taken: `YYYY-MM-DDTHH:MM:SS`, with `±HH:MM` where the camera wrote it."""

    def read() -> str | None:
        details = picture.getexif().get_ifd(ExifTags.IFD.Exif)
        for moment_tag, zone_tag in _TIMES:  # one that is blank or absurd hides no good one
            moment = _guarded(functools.partial(_moment, details.get(moment_tag)))
            if moment is not None:
                zone = _text(details.get(zone_tag)) or ""
                return moment + ("+00:00" if zone == "Z" else zone if _ZONE.match(zone) else "")
        return None

    return _guarded(read)


def _moment(value: object) -> str:
    return datetime.strptime(_text(value) or "", "%Y:%m:%d %H:%M:%S").isoformat()  # noqa: DTZ007


def camera(picture: Image.Image) -> str | None:
    """Return maker and model, the maker said once."""

    def read() -> str | None:
        exif = picture.getexif()
        make, model = _text(exif.get(ExifTags.Base.Make)), _text(exif.get(ExifTags.Base.Model))
        if make and model and model.lower().startswith(make.split()[0].lower()):
            return model
        return " ".join(part for part in (make, model) if part) or None

    return _guarded(read)


def lens(picture: Image.Image) -> str | None:
    """Return the lens, as the camera names it."""
    return _guarded(lambda: _text(picture.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.LensModel)))


def exposure(picture: Image.Image) -> dict[str, float] | None:
    """Return what is known of `{seconds, f_number, iso, focal_length_mm}`, or None where nothing is."""
    details = _guarded(lambda: picture.getexif().get_ifd(ExifTags.IFD.Exif)) or {}
    tags = (
        ("seconds", ExifTags.Base.ExposureTime, 86_400),
        ("f_number", ExifTags.Base.FNumber, 1_000),
        ("iso", ExifTags.Base.ISOSpeedRatings, 10**8),
        ("focal_length_mm", ExifTags.Base.FocalLength, 100_000),
    )
    read = {name: _guarded(functools.partial(_amount, details, tag, most)) for name, tag, most in tags}
    return {name: value for name, value in read.items() if value is not None} or None


def gps(picture: Image.Image) -> dict[str, float] | None:
    """Return `{latitude, longitude}` in degrees, north and east positive, with `altitude` in metres if known."""

    def read() -> dict[str, float] | None:
        place = picture.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        latitude = _degrees(place, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS", 90)
        longitude = _degrees(place, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW", 180)
        if latitude is None or longitude is None:
            return None
        found = {"latitude": latitude, "longitude": longitude}
        altitude = _guarded(lambda: _altitude(place))
        return found if altitude is None else {**found, "altitude": altitude}

    return _guarded(read)


def find_elsewhere(picture: Image.Image, data: bytes) -> None:
    """Put EXIF where Pillow looks for it, from where others write it: a text of a PNG, a box of a JPEG 2000 file."""
    if "exif" in picture.info:
        return
    found = _guarded(lambda: _of_text(picture.info)) or _guarded(lambda: _of_boxes(data))
    if found is not None:
        picture.info["exif"] = found if found.startswith(_EXIF) else _EXIF + found


def _of_text(info: Mapping[Any, Any]) -> bytes | None:
    """Read what ImageMagick calls a raw profile: a name, a length, then hexadecimal lines."""
    for name in ("Raw profile type exif", "Raw profile type APP1", "Raw profile type app1"):
        if isinstance(info.get(name), str):
            profile = bytes.fromhex("".join(info[name].split("\n")[3:]))
            return profile if profile.startswith((_EXIF, b"II*\0", b"MM\0*")) else None
    return None


def _of_boxes(data: bytes) -> bytes | None:
    if data[4:8] != b"jP  ":
        return None
    for box in boxes(data, 0, len(data)):
        identity = data[box.body : box.body + 16] if box.kind == b"uuid" else b""
        if identity in _EXIF_BOXES:
            return data[box.body + 16 : box.end]
    return None


def _guarded(read: Callable[[], T | None]) -> T | None:
    try:
        return read()
    except Exception:  # noqa: BLE001 - broken metadata raises anything, and the picture may be fine
        return None


def _text(value: object) -> str | None:
    """Return printable text: cut at the first NUL, without control characters, of bounded length."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    printable = "".join(character for character in value.split("\0", 1)[0] if character.isprintable())
    return printable.strip()[:_LONGEST] or None


def _amount(details: Mapping[int, Any], tag: int, most: int) -> float | None:
    value = details.get(tag)
    value = float(value[0] if isinstance(value, tuple) else value)  # type: ignore[arg-type]  # raises, guarded
    return round(value, 7) if 0 < value <= most else None


def _degrees(place: Mapping[int, Any], tag: int, ref_tag: int, signs: str, most: int) -> float | None:
    """Return one coordinate; without a letter that says which side of zero it lies on, there is none."""
    ref = (_text(place.get(ref_tag)) or "").upper()
    if ref not in tuple(signs):
        return None
    degrees, minutes, seconds = (float(part) for part in place[tag])
    value = degrees + minutes / 60 + seconds / 3600
    if not (math.isfinite(value) and 0 <= value <= most):
        return None
    return round(-value if ref == signs[1] else value, 7)


def _altitude(place: Mapping[int, Any]) -> float | None:
    value = float(place[ExifTags.GPS.GPSAltitude])
    below = place.get(ExifTags.GPS.GPSAltitudeRef) in (1, b"\x01")
    value = -value if below else value
    return round(value, 2) if _DEEPEST <= value <= _HIGHEST else None  # also none for what is no number

"""Tell what a file is by its first bytes, never by its name or by what the source says of it.

Only what the table admits reaches a decoder, and only that format's own decoder: Pillow knows some forty
formats, and the rare ones (FLI, PSD, EPS through Ghostscript, …) are where its holes have been.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """A picture format that is admitted: its name for people and the Pillow decoders that may try it."""

    name: str
    decoders: tuple[str, ...]


_TIFF = Format("TIFF", ("TIFF",))
_JPEG2000 = Format("JPEG 2000", ("JPEG2000",))
_PICTURES: tuple[tuple[bytes, Format], ...] = (
    # "MPO" must not be listed: Pillow would raise KeyError for every other file; JPEG yields it by itself.
    (b"\xff\xd8", Format("JPEG", ("JPEG",))),
    (b"\x89PNG\r\n\x1a\n", Format("PNG", ("PNG",))),
    (b"GIF87a", Format("GIF", ("GIF",))),
    (b"GIF89a", Format("GIF", ("GIF",))),
    (b"II*\x00", _TIFF),
    (b"MM\x00*", _TIFF),
    (b"II+\x00", _TIFF),
    (b"MM\x00+", _TIFF),
    (b"MM*\x00", _TIFF),
    (b"II\x00*", _TIFF),
    (b"BM", Format("BMP", ("BMP",))),
    (b"\x00\x00\x01\x00", Format("ICO", ("ICO",))),
    (b"\xffO\xffQ", _JPEG2000),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", _JPEG2000),
)
_WEBP = Format("WebP", ("WEBP",))
_HEIF = Format("HEIC or AVIF", ("AVIF", "HEIF"))
_HEIF_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (b"8BPS", "a Photoshop document"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"MZ", "a program"),
    (b"\x7fELF", "a program"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"ID3", "a sound file"),
)
_MARKUP: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<head", "a web page"),
    (b"<body", "a web page"),
    (b"<script", "a web page"),
    (b"<?xml", "an XML document"),
    (b"{", "a JSON document"),
    (b"[", "a JSON document"),
)


def format_of(head: bytes) -> Format | None:
    """Return the admitted format whose signature begins `head` (64 bytes are enough), or None."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _WEBP
    if head[4:8] == b"ftyp":
        brands = head[8:12], *(head[at : at + 4] for at in range(16, len(head), 4))
        return _HEIF if any(brand in _HEIF_BRANDS for brand in brands) else None
    return next((found for signature, found in _PICTURES if head.startswith(signature)), None)


def likeness(head: bytes) -> str:
    """Say for people what refused bytes look like; never quotes them."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    known = [name for signature, name in _OTHERS if head.startswith(signature)]
    known += [name for beginning, name in _MARKUP if text.startswith(beginning)]
    if head[4:8] == b"ftyp":
        return "a video"
    if text.startswith(b"<") and b"<svg" in text:
        return "an SVG drawing"
    if not known and text and all(byte >= 32 or byte in b"\t\r\n" for byte in text):
        return "text"
    return known[0] if known else "something unknown"

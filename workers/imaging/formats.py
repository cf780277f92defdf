"""Tell what a file is by its first bytes, never by its name or by what the source says of it.

Only what the table admits reaches a decoder, and only that format's own decoder: Pillow knows some forty
formats, and the rare ones (FLI, PSD, EPS through Ghostscript, …) are where its holes have been.
"""

from __future__ import annotations

import base64
import re
import zlib
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

RAW = "a raw camera file, which shows nothing before it is developed"
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"FUJIFILMCCD-RAW", RAW),
    (b"IIRO", RAW),
    (b"IIRS", RAW),
    (b"MMOR", RAW),
    (b"IIU\x00", RAW),
    (b"FOVb", RAW),
    (b"\x00MRM", RAW),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"II\xbc\x01", "a JPEG XR picture"),
    (b"\x00\x00\x02\x00", "a Windows cursor"),
    (b"icns", "an icon of macOS"),
    (b"DDS ", "a DirectDraw texture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance picture"),
    (b"qoif", "a QOI picture"),
    (b"BPG\xfb", "a BPG picture"),
    (b"FLIF", "a FLIF picture"),
    (b"gimp xcf", "a GIMP document"),
    (b"AT&TFORM", "a DjVu document"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"\x01\x00\x00\x00", "a Windows metafile"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"OggS", "a sound file"),
    (b"fLaC", "a sound file"),
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
    text = _text_of(head).lower()
    known = [said for said in (_wrapped(head), _container(head)) if said is not None]
    known += [name for signature, name in _OTHERS if head.startswith(signature)]
    known += [name for beginning, name in _MARKUP if text.startswith(beginning)]
    if text.startswith(b"<") and b"<svg" in text:
        return "an SVG drawing"
    if not known and text and all(byte >= 32 or byte in b"\t\r\n" for byte in text):
        return "text"
    return known[0] if known else "something unknown"


def _container(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return RAW if head[8:12] == b"crx " else "a video"
    if head[:4] == b"RIFF":
        return "a sound file" if head[8:12] == b"WAVE" else "a video"
    is_netpbm = head[:1] == b"P" and head[1:2] in _NETPBM and head[2:3] in (b" ", b"\t", b"\r", b"\n")
    return "a Netpbm picture" if is_netpbm else None


_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){8,}")
_BLANKS = b" \t\r\n"
_NETPBM = (b"1", b"2", b"3", b"4", b"5", b"6", b"7")
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# How the first bytes of a JPEG and of a PNG come out of being read as text and written as UTF-8.
_AS_TEXT: tuple[tuple[bytes, str], ...] = (
    (b"\xc3\xbf\xc3\x98\xc3\xbf", "a JPEG"),
    (b"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "a picture"),
    (b"\xc2\x89PNG", "a PNG"),
    (b"\xef\xbf\xbdPNG", "a PNG"),
)


def _wrapped(head: bytes) -> str | None:
    """Say in what a picture is wrapped that was uploaded in a wrong way; None where it is not."""
    ways = (_behind_text, _zipped, _read_as_text, _data_url, _message, _encoded)
    return next((said for way in ways if (said := way(head)) is not None), None)


def _behind_text(head: bytes) -> str | None:
    for mark in _MARKS:
        if head.startswith(mark) and (inner := _inner(head[len(mark) :].lstrip(_BLANKS))):
            return f"{inner} behind a byte-order mark: it was written as text when it was uploaded"
    text = head.lstrip(_BLANKS)
    if text != head and (inner := _inner(text)):
        return f"{inner} behind a line break or blanks: it was not separated from what came before it"
    return None


def _zipped(head: bytes) -> str | None:
    inner = _inner(_unzipped(head)) if head.startswith(b"\x1f\x8b") else None
    return None if inner is None else f"{inner} packed by gzip: unpack it before it is uploaded"


def _read_as_text(head: bytes) -> str | None:
    name = next((name for beginning, name in _AS_TEXT if head.startswith(beginning)), None)
    if name is None:
        return None
    return f"{name} that was read as text and written anew, which destroys it: upload the file itself"


def _data_url(head: bytes) -> str | None:
    begin, found, rest = _text_of(head).partition(b";base64,")
    if not found or not begin.lower().startswith(b"data:"):
        return None
    return f"a data URL of {_inner(_from_base64(rest)) or 'a file'}: upload the bytes that it holds"


def _message(head: bytes) -> str | None:
    text = _text_of(head).lower()
    if text.startswith(b"--") and b"content-disposition:" in text:
        return "a whole multipart body: upload the picture that is in it"
    if text.startswith((b"content-type:", b"content-transfer-encoding:", b"mime-version:")):
        return "a part of a mail with its headers: upload the picture that is in it"
    if b"envelope" in text[:256] and b"soap" in text[:256]:
        return "a SOAP message: upload the picture that is in it"
    return None


def _encoded(head: bytes) -> str | None:
    text = _text_of(head).lstrip(b"\"'")
    twice = "it was encoded twice when it was uploaded"
    if inner := _inner(_from_base64(text)):
        return f"base64 text of {inner}: {twice}"
    if (found := _HEX.match(text)) and (inner := _inner(bytes.fromhex(found[0].decode()))):
        return f"hexadecimal text of {inner}: {twice}"
    if text.startswith((b"=FF=D8", b"=89PNG")):
        return f"quoted-printable text of a picture: {twice}"
    return None


def _text_of(head: bytes) -> bytes:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(_BLANKS)


def _inner(data: bytes) -> str | None:
    found = format_of(data[:64])
    # Two letters begin a BMP, and many a text.
    return None if found is None or found.name == "BMP" else f"a {found.name}"


def _from_base64(text: bytes) -> bytes:
    found = _BASE64.match(text[:200].translate(None, _BLANKS))
    if found is None:
        return b""
    plain = found[0].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    return base64.b64decode(plain[: len(plain) // 4 * 4])


def _unzipped(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data, 64)
    except zlib.error:
        return b""

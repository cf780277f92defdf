"""What is no picture here is named for what it is, so that whoever uploaded it can mend the upload."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import pytest

from tests.unit.workers.pictures import quadrants, saved, seen
from workers.failures import Permanent

JPEG, PNG = saved(quadrants((60, 40)), "JPEG"), saved(quadrants((60, 40)), "PNG")
ENCODED = base64.b64encode(JPEG)
LINES = b"\r\n".join(ENCODED[at : at + 76] for at in range(0, len(ENCODED), 76))
MULTIPART = (
    b'--x1\r\nContent-Disposition: form-data; name="a"; filename="a.jpg"\r\n\r\n' + JPEG + b"\r\n--x1--"
)
NAMED: dict[str, tuple[bytes, str]] = {
    "base64": (ENCODED, "base64 text of a JPEG: it was encoded twice"),
    "base64 of a PNG": (base64.b64encode(PNG), "base64 text of a PNG"),
    "base64 in lines": (LINES, "base64 text of a JPEG"),
    "base64 for addresses": (base64.urlsafe_b64encode(JPEG).rstrip(b"="), "base64 text of a JPEG"),
    "base64 in quotes": (b'"' + ENCODED + b'"', "base64 text of a JPEG"),
    "base64 behind a mark": (b"\xef\xbb\xbf" + ENCODED, "base64 text of a JPEG"),
    "hexadecimal": (JPEG.hex().encode(), "hexadecimal text of a JPEG"),
    "quoted-printable": (b"=FF=D8=FF=E0=00=10JFIF=00", "quoted-printable text of a picture"),
    "a data URL": (b"data:image/jpeg;base64," + ENCODED, "a data URL of a JPEG"),
    "a data URL of a PNG": (b"data:image/png;base64," + base64.b64encode(PNG), "a data URL of a PNG"),
    "a byte-order mark": (b"\xef\xbb\xbf" + JPEG, "a JPEG behind a byte-order mark"),
    "a wide mark": (b"\xff\xfe" + PNG, "a PNG behind a byte-order mark"),
    "a line break": (b"\r\n" + JPEG, "a JPEG behind a line break"),
    "line breaks and a PNG": (b"\n\n  " + PNG, "a PNG behind a line break"),
    "a multipart body": (MULTIPART, "a whole multipart body"),
    "a part of a mail": (b"Content-Type: image/jpeg\r\n\r\n" + JPEG, "a part of a mail"),
    "gzip": (gzip.compress(JPEG), "a JPEG packed by gzip"),
    "read as text": (JPEG.decode("latin-1").encode(), "a JPEG that was read as text"),
    "read as broken text": (JPEG.decode("utf-8", "replace").encode(), "a picture that was read as text"),
    "a PNG read as text": (PNG.decode("utf-8", "replace").encode(), "a PNG that was read as text"),
    "SOAP": (b'<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="x">', "a SOAP message"),
    "a web page": (b"<!DOCTYPE html><html><body>Log in</body></html>", "a web page"),
    "XML": (b"<?xml version='1.0'?><a/>", "an XML document"),
    "JSON": (b'{"error": "no"}', "a JSON document"),
    "text": (b"Dear all, please find the picture attached.", "text"),
    "JPEG XL": (b"\xff\x0a" + bytes(40), "a JPEG XL picture"),
    "JPEG XL in boxes": (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(40), "a JPEG XL picture"),
    "JPEG XR": (b"II\xbc\x01" + bytes(40), "a JPEG XR picture"),
    "CUR": (b"\x00\x00\x02\x00\x01\x00" + bytes(40), "a Windows cursor"),
    "OpenEXR": (b"v/1\x01" + bytes(40), "an OpenEXR picture"),
    "QOI": (b"qoif" + bytes(40), "a QOI picture"),
    "Netpbm": (b"P6 4 4 255\n" + bytes(48), "a Netpbm picture"),
    "DDS": (b"DDS " + bytes(40), "a DirectDraw texture"),
    "Photoshop": (b"8BPS\x00\x01" + bytes(40), "a Photoshop document"),
    "AVI": (b"RIFF\x00\x00\x00\x00AVI " + bytes(40), "a video"),
    "WAV": (b"RIFF\x00\x00\x00\x00WAVE" + bytes(40), "a sound file"),
    "RAF": (b"FUJIFILMCCD-RAW 0201" + bytes(40), "a raw camera file"),
    "ORF": (b"IIRO\x08\x00\x00\x00" + bytes(40), "a raw camera file"),
    "ORF of another order": (b"MMOR\x00\x00\x00\x08" + bytes(40), "a raw camera file"),
    "RW2": (b"IIU\x00\x18\x00\x00\x00" + bytes(40), "a raw camera file"),
    "CR3": (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom" + bytes(40), "a raw camera file"),
    "X3F": (b"FOVb" + bytes(40), "a raw camera file"),
    "MP4": (b"\x00\x00\x00\x18ftypmp42" + bytes(40), "a video"),
}


@pytest.mark.parametrize(("data", "said"), NAMED.values(), ids=NAMED.keys())
def test_what_is_no_picture_is_named(data: bytes, said: str) -> None:
    """The sentence says what it is and, where an upload went wrong, how."""
    with pytest.raises(Permanent) as caught:
        seen(data)
    assert caught.value.code == "image_unsupported"
    assert f"This is {said}" in caught.value.detail


@pytest.mark.parametrize(
    "data", [JPEG[2:], b"\x00" * 64, b"\xef\xbb\xbf\x01\x02", b"AAAA" * 40, b"data:,x", b"--\r\n"]
)
def test_what_is_not_known_is_not_guessed(data: bytes) -> None:
    """Bytes that are like nothing are no picture in a wrapping."""
    with pytest.raises(Permanent) as caught:
        seen(data)
    assert "JPEG" not in caught.value.detail.partition("Upload")[0]


def test_the_page_says_what_is_said() -> None:
    """Each row of the page is a case above or one of test_tiffs.py, with its very words."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "pictures.md").read_text()
    table = page.partition("| what is uploaded | what is said |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = dict([part.strip() for part in line.strip("|").split("|")] for line in table)
    of_tiffs = {"DNG, NEF, ARW, CR2, IIQ and kin", "TIFF of 12, 32 or 64 bits or floating point, in colour"}
    assert len(rows) == 30
    for what in rows.keys() - of_tiffs:
        assert NAMED[what][1].startswith(rows[what])

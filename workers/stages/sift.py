"""Tell which records of an album are left out of a group, and why.

Left out is only what is certain from the listing alone: a doubt costs one call, a picture that was wrongly
left out is missed by nobody until somebody needs it. So claims about the type count where all of them agree, and
a name claims something where its ending is in the lists below. Python's own table of endings takes in the machine's
files, and knows `.com`, `.me` and `.ai`, at which names of mail addresses and sites end.
"""

from __future__ import annotations

import re

from workers.sources.record import ListedRecord

# Some mail programs and browsers call pictures by application types.
_PICTURE = re.compile(r"image/|application/(?:x-)?(?:jpe?g|png|gif|tiff?|bmp|heic|heif|photoshop|webp)")
_NO_PICTURE = re.compile(
    r"(?:audio|video|text|message|font|model)/"
    r"|application/(?:pdf|rtf|xml|json|msword|gzip|zip|java|ogg|pgp|pkcs|postscript|vnd\.|x-(?:zip|7z|rar|tar|gzip|msdownload))"
)
_PICTURE_ENDINGS = frozenset(
    [
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "jp2",
        "j2k",
        "png",
        "apng",
        "gif",
        "webp",
        "tif",
        "tiff",
        "bmp",
        "dib",
        "ico",
        "cur",
        "heic",
        "heif",
        "hif",
        "avif",
        "jxl",
        "psd",
        "psb",
        "svg",
        "dng",
        "nef",
        "cr2",
        "cr3",
        "arw",
        "rw2",
        "orf",
        "raf",
        "pef",
        "srw",
        "tga",
        "ppm",
        "pgm",
        "pbm",
        "pnm",
    ]
)
_OTHER_ENDINGS = frozenset(
    [
        "pdf",
        "doc",
        "docx",
        "docm",
        "dot",
        "dotx",
        "xls",
        "xlsx",
        "xlsm",
        "xlsb",
        "ppt",
        "pptx",
        "pps",
        "ppsx",
        "odt",
        "ods",
        "odp",
        "rtf",
        "txt",
        "csv",
        "tsv",
        "md",
        "log",
        "xml",
        "json",
        "html",
        "htm",
        "xhtml",
        "css",
        "js",
        "eml",
        "msg",
        "mht",
        "ics",
        "vcf",
        "zip",
        "7z",
        "rar",
        "gz",
        "tgz",
        "bz2",
        "xz",
        "tar",
        "mp3",
        "m4a",
        "wav",
        "ogg",
        "flac",
        "aac",
        "wma",
        "mp4",
        "m4v",
        "mov",
        "avi",
        "mkv",
        "webm",
        "wmv",
        "mpg",
        "mpeg",
        "3gp",
        "p7s",
        "p7m",
        "p7b",
        "cer",
        "crt",
        "pem",
        "exe",
        "msi",
        "dll",
        "bat",
        "jar",
        "apk",
        "dwg",
        "dxf",
        "epub",
        "ttf",
        "otf",
        "woff",
        "woff2",
    ]
)
# How mail programs call what stands in a signature: image001.png, logo.gif, Outlook-a1b2c3.png, …
_SIGNATURE = re.compile(
    r"(?:image\d{3}|logo|signature|outlook-|icon|facebook|linkedin|twitter)", re.IGNORECASE
)


CODES = {
    "kind_not_asked": "The request names other kinds of record.",
    "not_an_image": "Its name and its type both say that it is no picture.",
    "attachment_empty": "It has no bytes.",
    "attachment_too_large": "It is larger than the limit of the request or of the workers.",
    "signature_logo": "It is a small picture of a mail, named like the logo of a signature.",
    "duplicate_content": "It has the checksum of another file of the album, which is imported.",
}
"""Why a record is left out."""


class Sift:
    """Judges the records of one listing, in their order. Sizes are in bytes.

    `kinds` None takes every kind. A picture with a signature's name that does not hang on the album itself
    is left out below `logo_bytes`. Remembers 24 bytes or so of each record that has a checksum.
    """

    def __init__(
        self, *, album_id: str, kinds: frozenset[str] | None, max_bytes: int, logo_bytes: int
    ) -> None:
        self._album_id, self._kinds = album_id, kinds
        self._max_bytes, self._logo_bytes = max_bytes, logo_bytes
        self._contents: set[bytes] = set()

    def saw(self, record: ListedRecord) -> None:
        """Remember the content of a record that is imported."""
        if record.md5 is not None:
            self._contents.add(bytes.fromhex(record.md5))

    def left_out(self, record: ListedRecord) -> str | None:
        """Return the code that says why a record is left out, or None for one to import, which is then seen."""
        code = self._code(record)
        if code is None:
            self.saw(record)
        return code

    def _code(self, record: ListedRecord) -> str | None:  # noqa: PLR0911 - a reason each
        if self._kinds is not None and record.kind not in self._kinds:
            return "kind_not_asked"
        if is_no_picture(record.content_type, record.name):
            return "not_an_image"
        if record.size == 0:
            return "attachment_empty"
        if record.size is not None and record.size > self._max_bytes:
            return "attachment_too_large"
        if self._is_logo(record):
            return "signature_logo"
        if record.md5 is not None and bytes.fromhex(record.md5) in self._contents:
            return "duplicate_content"
        return None

    def _is_logo(self, record: ListedRecord) -> bool:
        small = record.size is not None and record.size < self._logo_bytes
        named = _SIGNATURE.match(record.name or "") is not None
        return small and named and record.parent_id != self._album_id


def is_no_picture(content_type: str | None, name: str | None) -> bool:
    """Tell whether everything that is claimed of a file says that it is something else than a picture."""
    ending = (name or "").rpartition(".")[2].strip().lower() if "." in (name or "") else ""
    claimed = (content_type or "").partition(";")[0].strip().lower()
    if ending in _PICTURE_ENDINGS or _PICTURE.match(claimed):
        return False
    return ending in _OTHER_ENDINGS or _NO_PICTURE.match(claimed) is not None

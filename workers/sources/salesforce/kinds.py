"""Say for each kind of record that holds a file which fields tell of it, and where its bytes are.

kind              id    row of                      blob            size            digest
Attachment        00P   itself                      Body            BodyLength      -
Document          015   itself                      Body            BodyLength      -
ContentVersion    068   itself                      VersionData     ContentSize     Checksum (MD5)
ContentDocument   069   its latest published version, whose id is one call more
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.failures import Permanent
from workers.sources.record import Record

LONGEST_CLAIM = 255
"""Characters kept of a name or a content type, as many as the vendor allows a name."""
LONG_SIZES_SINCE = 66
"""The API version since which a file may be larger than ContentSize can say, and ContentSizeLong is there."""

_MD5 = re.compile(r"[0-9a-fA-F]{32}")
# By FileType or extension. A list of our own: Python's depends on what a machine's files add to it.
_TYPES = {
    **dict.fromkeys(("jpg", "jpeg", "jpe", "jfif"), "image/jpeg"),
    **dict.fromkeys(("tif", "tiff"), "image/tiff"),
    **{name: f"image/{name}" for name in ("png", "gif", "bmp", "webp", "heic", "heif", "avif", "jp2")},
    "svg": "image/svg+xml",
    "ico": "image/x-icon",
    "psd": "image/vnd.adobe.photoshop",
    "pdf": "application/pdf",
    "zip": "application/zip",
    **dict.fromkeys(("txt", "text"), "text/plain"),
    "html": "text/html",
    "csv": "text/csv",
    **dict.fromkeys(("word", "word_x", "doc", "docx"), "application/msword"),
    **dict.fromkeys(("excel", "excel_x", "xls", "xlsx"), "application/vnd.ms-excel"),
    **dict.fromkeys(("power_point", "power_point_x", "ppt", "pptx"), "application/vnd.ms-powerpoint"),
    **dict.fromkeys(("mp4", "m4v"), "video/mp4"),
    "mov": "video/quicktime",
}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of record that holds its own bytes."""

    name: str
    blob: str  # the last part of the path to its bytes
    size: str
    others: tuple[str, ...]
    read: Callable[[str, Row], Record]

    def fields(self, api_version: str) -> str:
        """Return the fields to ask for, as a query and a row's `fields` both write them."""
        long = ("ContentSizeLong",) if self is VERSION and int(float(api_version)) >= LONG_SIZES_SINCE else ()
        return ",".join((*self.others, self.size, *long))

    def is_row(self, row: Row) -> bool:
        """Tell whether an answer is a row of this kind: without its size it is something else."""
        return self.size in row


def elsewhere(row: Row) -> Permanent | None:
    """Return what to raise of a row whose bytes another system keeps, None where Salesforce keeps them.

    ContentLocation is S for Salesforce, E for an external source and L for a social network, and a link has
    the FileType LINK (Object Reference, ContentVersion); a Document with a Url has no Body.
    """
    if row.get("ContentLocation") in (None, "S") and row.get("FileType") != "LINK" and not row.get("Url"):
        return None
    return Permanent(
        "attachment_elsewhere",
        "The file is only linked in Salesforce and kept by another system: upload the picture itself.",
    )


def claim(value: object) -> str | None:
    """Keep a text that a row claims: not longer than a name may be, and writable as UTF-8."""
    if not isinstance(value, str) or not value:
        return None
    return value[:LONGEST_CLAIM].encode("utf-8", "replace").decode("utf-8")


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _with_body(record_id: str, row: Row) -> Record:
    return Record(
        id=record_id,
        name=claim(row.get("Name")),
        content_type=claim(row.get("ContentType")),
        size=_size(row.get("BodyLength")),
        parent_id=claim(row.get("ParentId")),
    )


def _version(record_id: str, row: Row) -> Record:
    long, checksum = _size(row.get("ContentSizeLong")), row.get("Checksum")
    return Record(
        id=record_id,
        name=claim(row.get("PathOnClient")) or claim(row.get("Title")),
        content_type=_claimed_type(row),
        size=_size(row.get("ContentSize")) if long is None else long,
        md5=checksum if isinstance(checksum, str) and _MD5.fullmatch(checksum) else None,
        parent_id=claim(row.get("ContentDocumentId")),
    )


def _claimed_type(row: Row) -> str | None:
    """Return the media type of what a file is called: a claim, as an attachment's ContentType is one."""
    for told in (row.get("FileType"), row.get("FileExtension")):
        if isinstance(told, str) and told.lower() in _TYPES:
            return _TYPES[told.lower()]
    return None


ATTACHMENT = Kind("Attachment", "Body", "BodyLength", ("Name", "ContentType", "ParentId"), _with_body)
DOCUMENT = Kind("Document", "Body", "BodyLength", ("Name", "ContentType", "Url"), _with_body)
VERSION = Kind(
    "ContentVersion",
    "VersionData",
    "ContentSize",
    (
        "Title",
        "PathOnClient",
        "FileExtension",
        "FileType",
        "Checksum",
        "ContentLocation",
        "ContentDocumentId",
    ),
    _version,
)
BY_PREFIX = {"00P": ATTACHMENT, "015": DOCUMENT, "068": VERSION}
CONTENT_DOCUMENT = "069"

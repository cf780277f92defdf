"""Keep the records that a test or a person adds beside the attachments: Cases, messages, files, documents.

Each is a note in JSON, perhaps with a blob beside it, so all of them are there again after a restart. What
the service derives is derived here as well: a ContentVersion makes its ContentDocument, and links it to
what it was published to (Object Reference, ContentVersion, `FirstPublishLocationId`).
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.salesforce.ids import canonical, made_id
from sandbox.salesforce.tables import OWNER_ID, SAMPLE_CASE_ID, Record

PREFIXES = {
    "Case": "500",
    "EmailMessage": "02s",
    "Document": "015",
    "ContentVersion": "068",
    "ContentDocumentLink": "06A",
}
FILES = ("Document", "ContentVersion")


@dataclass(slots=True)
class Records:
    """The added records of one organization, by object; ids are made of seeds, so they can be foretold."""

    folder: Path
    _rows: dict[str, dict[str, Record]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        notes = sorted(self.folder.glob("*.json"), key=lambda note: (note.stat().st_mtime_ns, note.name))
        for note in notes:
            kept = json.loads(note.read_text())
            blob = note.with_suffix(".blob")
            self._keep(kept["type"], Record(note.stem, kept["values"], blob if blob.exists() else None))

    def rows(self, kind: str) -> dict[str, Record]:
        """Return the records of one object."""
        return self._rows.get(kind, {})

    def add(
        self, kind: str, values: dict[str, Any], *, blob: bytes | None = None, seed: str | None = None
    ) -> Record:
        """Keep a record. Raises ValueError for an object that cannot be added or a file without bytes."""
        if kind not in PREFIXES:
            raise ValueError(f"type must be one of Attachment, {', '.join(PREFIXES)}")
        if kind in FILES and blob is None and not values.get("ContentUrl") and not values.get("Url"):
            raise ValueError("a file needs content_base64 or path")
        with self._lock:
            record_id = made_id(PREFIXES[kind], f"{kind}/{seed or time.time_ns()}")
            values = {**_DEFAULTS[kind](record_id, values, blob), **values}
            self.folder.mkdir(parents=True, exist_ok=True)
            file = None
            if blob is not None:
                file = self.folder / f"{record_id}.blob"
                file.write_bytes(blob)
            (self.folder / f"{record_id}.json").write_text(json.dumps({"type": kind, "values": values}))
            record = Record(record_id, values, file)
            self._keep(kind, record)
        if kind == "ContentVersion" and values.get("FirstPublishLocationId"):
            self._link(values["ContentDocumentId"], values["FirstPublishLocationId"])
        return record

    def remove(self, record_id: str) -> bool:
        """Forget a record, its blob too. False where there is none such."""
        with self._lock:
            found = [kind for kind, rows in self._rows.items() if record_id in rows]
            for kind in found:
                self._rows[kind] = {one: row for one, row in self._rows[kind].items() if one != record_id}
            for path in self.folder.glob(f"{record_id}.*"):
                path.unlink()
        return bool(found)

    def documents(self) -> dict[str, Record]:
        """Derive the ContentDocuments: one for each file, told by its latest version."""
        found: dict[str, Record] = {}
        for version in self.rows("ContentVersion").values():
            values = version.values
            if values["IsLatest"]:
                document_id = values["ContentDocumentId"]
                told = {
                    name: values.get(name) for name in ("Title", "FileType", "FileExtension", "CreatedDate")
                }
                size = version.file.stat().st_size if version.file is not None else 0
                published = {"LatestPublishedVersionId": version.id, "ContentSize": size, "IsDeleted": False}
                found[document_id] = Record(document_id, {**told, **published, "OwnerId": OWNER_ID})
        return found

    def _link(self, document_id: str, entity_id: str) -> None:
        known = self.rows("ContentDocumentLink").values()
        wanted = {"ContentDocumentId": document_id, "LinkedEntityId": entity_id}
        if not any(wanted.items() <= link.values.items() for link in known):
            self.add("ContentDocumentLink", wanted, seed=f"{document_id}/{entity_id}")

    def _keep(self, kind: str, record: Record) -> None:
        if kind == "ContentVersion":
            record.values["IsLatest"] = True
            for other in self.rows(kind).values():
                if other.values["ContentDocumentId"] == record.values["ContentDocumentId"]:
                    other.values["IsLatest"] = other.id == record.id
        # A new mapping each time: whoever walks over the old one is not disturbed.
        self._rows = {**self._rows, kind: {**self.rows(kind), record.id: record}}


def _now() -> str:
    moment = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03d}+0000"


def _case(record_id: str, _values: dict[str, Any], _blob: bytes | None) -> dict[str, Any]:
    number = int(hashlib.sha256(record_id.encode()).hexdigest(), 16) % 10**8
    return {"CaseNumber": f"{number:08d}", "Subject": "Added", "CreatedDate": _now()}


def _message(_id: str, _values: dict[str, Any], _blob: bytes | None) -> dict[str, Any]:
    told = {"Subject": "Pictures", "FromAddress": "someone@example.com", "Incoming": True, "Status": "0"}
    return {"ParentId": SAMPLE_CASE_ID, **told, "HasAttachment": True, "CreatedDate": _now()}


def _document(_id: str, values: dict[str, Any], _blob: bytes | None) -> dict[str, Any]:
    guessed = mimetypes.guess_type(str(values.get("Name", "")))[0]
    return {"ContentType": guessed, "FolderId": OWNER_ID, "Url": None, "CreatedDate": _now()}


def _version(record_id: str, values: dict[str, Any], blob: bytes | None) -> dict[str, Any]:
    name = str(values.get("PathOnClient") or values.get("Title") or "file")
    stem, _, extension = name.rpartition(".")
    types = {"jpg": "JPG", "jpeg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "tif": "TIFF"}
    given = canonical(str(values.get("ContentDocumentId", "")))
    return {
        "Title": stem or name,
        "PathOnClient": name,
        "FileExtension": extension.lower() or None,
        "FileType": types.get(extension.lower(), extension.upper() or "UNKNOWN"),
        "Checksum": hashlib.md5(blob, usedforsecurity=False).hexdigest() if blob is not None else None,
        "ContentLocation": "S" if blob is not None else "E",
        "ContentDocumentId": given or made_id("069", f"document/{record_id}"),
        "VersionNumber": "1",
        "IsDeleted": False,
        "OwnerId": OWNER_ID,
        "CreatedDate": _now(),
    }


def _link(_id: str, _values: dict[str, Any], _blob: bytes | None) -> dict[str, Any]:
    return {"ShareType": "V", "Visibility": "AllUsers", "IsDeleted": False}


_DEFAULTS: dict[str, Callable[[str, dict[str, Any], bytes | None], dict[str, Any]]] = {
    "Case": _case,
    "EmailMessage": _message,
    "Document": _document,
    "ContentVersion": _version,
    "ContentDocumentLink": _link,
}

"""Keep the organization's records: one table an object, each row perhaps with a blob in a file.

A further object is one more `Table` in `objects` and whatever fills it; rows, queries, blobs and errors
then work for it as they do for an attachment.
"""

from __future__ import annotations

import json
import mimetypes
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.salesforce.drawing import draw_samples
from sandbox.salesforce.ids import canonical, made_id

OWNER_ID = made_id("005", "integration user")
# The Case and the attachment of the interface's own example, so that the example can be pasted and works.
SAMPLE_CASE_ID = "5005800000HEXCtAAP"
EXAMPLES = {"sample/hills-at-noon.jpg": "00P4I00000zyw3eUAA"}
PICTURES_CASE_ID = made_id("500", "pictures case")
WRITTEN_AT = "2019-04-08T17:38:57.000+0000"


@dataclass(frozen=True, slots=True)
class Record:
    """One row; `file` holds its blob, whose size is asked anew each time since a person may edit it."""

    id: str
    values: dict[str, Any]
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One object of the organization: its fields in order, its rows, and the field that is a blob."""

    name: str
    prefix: str
    fields: tuple[str, ...]
    rows: Callable[[], dict[str, Record]]
    blob_field: str | None = None
    size_field: str | None = None
    filtered_by: tuple[str, ...] = ()  # a query must compare one of these, by = or IN; empty: no such rule
    since: Mapping[str, int] = field(default_factory=dict)  # the API version that brought a field

    def find(self, text: str) -> Record | None:
        """Return the record of an id in either form, or None."""
        return self.rows().get(canonical(text) or "")

    def value(self, record: Record, name: str) -> Any:
        """Return one field as a row shows it; a blob is a path here and never data."""
        if name == self.blob_field:
            return f"{{version}}/sobjects/{self.name}/{record.id}/{name}"
        if (
            name in (self.size_field, "ContentSizeLong")
            and name not in record.values
            and record.file is not None
        ):
            return record.file.stat().st_size if record.file.is_file() else 0
        if name == "Id":
            return record.id
        return record.values.get(name)

    def field_named(self, text: str, version: int = 1000) -> str | None:
        """Return the field's own spelling; the service ignores letter case in names."""
        fields = (name for name in self.fields if self.since.get(name, 0) <= version)
        return next((name for name in fields if name.lower() == text.lower()), None)


def attachment_id(seed: str) -> str:
    """Return the id of the attachment that is made of a seed; the same on every machine."""
    return EXAMPLES.get(seed) or made_id("00P", seed)


def attachment(name: str, file: Path, *, seed: str, parent_id: str, **values: Any) -> Record:
    """Describe a file as an attachment. ContentType is what an uploader would claim, as in life."""
    return Record(
        attachment_id(seed),
        {
            "Name": name[-255:],
            "ParentId": parent_id,
            "ContentType": mimetypes.guess_type(name)[0],
            "IsPrivate": False,
            "IsDeleted": False,
            "OwnerId": OWNER_ID,
            "CreatedDate": WRITTEN_AT,
            **values,
        },
        file,
    )


@dataclass(slots=True)
class Attachments:
    """Every attachment: the dozen drawn, the person's pictures, and those a test has added."""

    data: Path
    pictures: Path | None = None
    _rows: dict[str, Record] = field(default_factory=dict)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def load(self) -> None:
        """Read the folders. Called again for an unknown id, so that a new file needs no restart."""
        draw_samples(self.data / "samples")
        rows = [
            attachment(file.name, file, seed=f"sample/{file.name}", parent_id=SAMPLE_CASE_ID)
            for file in _files(self.data / "samples")
        ]
        if self.pictures is not None:
            for file in _files(self.pictures):
                name = file.relative_to(self.pictures).as_posix()
                # A name need not be UTF-8 on disk, but it must be in JSON.
                readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                rows.append(attachment(readable, file, seed=f"pictures/{name}", parent_id=PICTURES_CASE_ID))
        for note in _files(self.data / "added"):
            if note.suffix == ".json":
                rows.append(_added(note))
        self._rows = {record.id: record for record in rows}

    def rows(self) -> dict[str, Record]:
        """Return the rows as last read."""
        return self._rows

    def add(self, name: str, blob: bytes, values: dict[str, Any], *, seed: str | None = None) -> Record:
        """Keep an attachment that a test brings; it is still there after a restart."""
        folder = self.data / "added"
        with self._writing:
            folder.mkdir(parents=True, exist_ok=True)
            record_id = made_id("00P", f"added/{seed or name}")
            (folder / f"{record_id}.blob").write_bytes(blob)
            note = folder / f"{record_id}.json"
            note.write_text(json.dumps({"name": name, "seed": f"added/{seed or name}", "values": values}))
            record = _added(note)
            self._rows = {**self._rows, record.id: record}
            return record

    def remove(self, record_id: str) -> bool:
        """Forget an attachment that a test has added. False where there is none such."""
        with self._writing:
            found = list((self.data / "added").glob(f"{record_id}.*"))
            for path in found:
                path.unlink()
            self._rows = {one: row for one, row in self._rows.items() if one != record_id or not found}
        return bool(found)


def _added(note: Path) -> Record:
    kept = json.loads(note.read_text())
    values = {"parent_id": SAMPLE_CASE_ID, **kept["values"]}
    return attachment(kept["name"], note.with_suffix(".blob"), seed=kept["seed"], **values)


def _files(folder: Path) -> Iterator[Path]:
    """Walk to every regular file below a folder in a steady order; none where there is no folder."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file():
            yield path

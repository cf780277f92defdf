"""A second source is one module and its rows: here a folder of files, taken through the product's own fetch stage."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from common import sources as ids
from common.blobs import open_blobs
from common.sources import SourceIdError, judge
from tests.conformance.organization import document, in_time
from workers import sources
from workers.credentials import Credentials
from workers.deadlines import Deadline
from workers.failures import Failure, Permanent, Throttled
from workers.sources.record import ListedRecord, Received, Record
from workers.work import fetching


def file_id(text: str) -> str:
    """Take a plain name of a file: nothing that could lead out of the folder."""
    if not re.fullmatch(r"[a-z0-9-]+\.[a-z]+", text):
        raise SourceIdError("attachment_id_invalid")
    return text


class Folder:
    """A source whose records are the files of one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def visit(
        self, record_id: str, *, deadline: Deadline, known: Record | None = None, group: bool = False
    ) -> FileVisit:
        return FileVisit(self.path / file_id(record_id))

    def images_of(
        self,
        album_id: str,
        *,
        created_since: datetime | None = None,
        include_emails: bool = True,
        deadline: Deadline,
    ) -> Files:
        return Files(self.path)

    def close(self) -> None:
        pass


class Files:
    calls = 0

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[list[ListedRecord]]:
        yield [
            ListedRecord(
                record_id=file.name,
                kind="file",
                name=file.name,
                size=file.stat().st_size,
                content_type=None,
                md5=None,
                created_at=None,
                parent_id=None,
            )
            for file in sorted(self.path.iterdir())
        ]


class FileVisit:
    calls = 0

    def __init__(self, file: Path) -> None:
        self.file = file

    def open(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def describe(self) -> Record:
        if not self.is_there():
            raise Permanent("attachment_not_found", "There is no such file.", may_appear=True)
        return Record(id=self.file.name, name=self.file.name, size=self.file.stat().st_size)

    def stream(self, record: Record, sink: BinaryIO, *, max_bytes: int) -> Received:
        content = self.file.read_bytes()
        sink.write(content)
        return Received(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    def is_there(self) -> bool:
        if not self.file.parent.is_dir():
            raise Throttled("folder_away", "The folder cannot be reached.", waiting_for="folder")
        return self.file.is_file()


def open_folder(source: Any, **_: Any) -> Folder:
    return Folder(Path(source["path"]))


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ids.IMPORT_TYPES, "folder", file_id)
    monkeypatch.setitem(sources.SOURCES, "folder", open_folder)


def fetched(tmp_path: Path, record_id: str, *, source_type: str = "folder", **organization: Any) -> Any:
    """Let a worker fetch an import of an organization that imports from a folder."""
    blobs = open_blobs(f"file://{tmp_path}/blobs", mongodb_url="")
    work = fetching(
        sources=sources.Sources(credentials=Credentials([]), api_version="65.0"),
        blobs=blobs,
        spool_dir=tmp_path / "spool",
        max_bytes=1000,
        seconds=10,
    )
    import_ = {"organization_id": "org", "source_type": source_type, "record_id": record_id}
    owner = {"_id": "org", "source": {"type": "folder", "path": str(tmp_path / "pictures")}, **organization}
    return work(import_, owner, threading.Event())


def test_a_record_of_the_second_source_is_fetched_and_kept(tmp_path: Path) -> None:
    """Its id is judged by its own rule, its bytes go through spool and blobs like any other's."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "boat.png").write_bytes(b"boat")
    assert judge(import_type="folder", attachment_id="boat.png").record_id == "boat.png"
    original = fetched(tmp_path, "boat.png")
    assert (original.filename, original.bytes, original.calls) == ("boat.png", 4, 0)
    assert open_blobs(f"file://{tmp_path}/blobs", mongodb_url="").read(original.key) == b"boat"


@pytest.mark.parametrize("text", ["../etc/passwd", "/etc/passwd", "", "00P4I00000zyw3eUAA"])
def test_its_ids_are_checked_by_its_own_rule(tmp_path: Path, text: str) -> None:
    """What would lead out of the folder, and an id of another source, reach no path."""
    assert judge(import_type="folder", attachment_id=text).record_id is None
    with pytest.raises(Permanent):
        fetched(tmp_path, text)


def test_its_failures_are_of_the_same_kinds(tmp_path: Path) -> None:
    """A missing file is about the record, a missing folder about the organization."""
    with pytest.raises(Failure) as caught:
        fetched(tmp_path, "boat.png")
    assert isinstance(caught.value, Throttled)
    (tmp_path / "pictures").mkdir()
    with pytest.raises(Permanent) as missing:
        fetched(tmp_path, "boat.png")
    assert missing.value.may_appear


def test_its_albums_are_listed(tmp_path: Path) -> None:
    """What the listing tells is all that a visit needs."""
    (tmp_path / "boat.png").write_bytes(b"boat")
    (page,) = Folder(tmp_path).images_of("any", deadline=in_time())
    sink = io.BytesIO()
    visit = Folder(tmp_path).visit(page[0].record_id, deadline=in_time())
    visit.stream(visit.describe(), sink, max_bytes=100)
    assert sink.getvalue() == b"boat"


def test_an_import_of_a_type_that_its_organization_does_not_have_ends(tmp_path: Path) -> None:
    """An organization has one source; an id of another one is never shown to it."""
    with pytest.raises(Permanent) as caught:
        fetched(tmp_path, "00P4I00000zyw3eUAA", source_type="salesforce")
    assert caught.value.code == "source_missing"
    with pytest.raises(Permanent) as caught:
        fetched(tmp_path, "boat.png", source=document("https://acme.my.salesforce.com")["source"])
    assert caught.value.code == "source_missing"

"""Every kind of file that a Case holds is fetched, and each that cannot be says in its own code why not."""

from __future__ import annotations

import hashlib
import io

import pytest

from sandbox.salesforce.ids import made_id
from tests.conformance.organization import PICTURE, World, in_time, organization_at
from workers.failures import Failure, Permanent, Transient
from workers.sources.record import Record

VERSION_BODY = "/VersionData$"


def document_of(world: World, version_id: str) -> str:
    return str(world.server.api.records.rows("ContentVersion")[version_id].values["ContentDocumentId"])


def test_a_version_of_a_file_arrives_whole(world: World) -> None:
    """A 068 id brings its own bytes, with the checksum that the organization keeps, for two calls."""
    version = world.keep("ContentVersion", PICTURE, PathOnClient="boat.png")
    visit = world.source.visit(version, deadline=in_time())
    record, sink = visit.describe(), io.BytesIO()
    visit.stream(record, sink, max_bytes=1 << 24)
    assert sink.getvalue() == PICTURE
    assert (record.name, record.content_type, record.size) == ("boat.png", "image/png", len(PICTURE))
    assert record.md5 == hashlib.md5(PICTURE).hexdigest()  # noqa: S324
    assert visit.calls == 2


def test_a_file_is_its_latest_published_version(world: World) -> None:
    """A 069 id brings the newest bytes, in fifteen letters as in eighteen, for one call more."""
    first = world.keep("ContentVersion", b"\x89PNG old", PathOnClient="boat.png")
    document = document_of(world, first)
    newer = world.keep("ContentVersion", PICTURE, PathOnClient="boat.png", ContentDocumentId=document)
    for text in (document, document[:15]):
        visit = world.source.visit(text, deadline=in_time())
        record, sink = visit.describe(), io.BytesIO()
        visit.stream(record, sink, max_bytes=1 << 24)
        assert (record.id, sink.getvalue(), visit.calls) == (newer, PICTURE, 3)


def test_a_document_arrives_whole(world: World) -> None:
    """A 015 id brings a document of a folder."""
    document = world.keep("Document", PICTURE, Name="boat.png", ContentType="image/png")
    record, content = world.fetch(document)
    assert (record.name, record.content_type, content) == ("boat.png", "image/png", PICTURE)


def test_a_large_size_is_read_where_the_version_tells_it(world: World) -> None:
    """From API 66 a file's size stands in a field of its own, which is asked for then and not before."""
    version = world.keep("ContentVersion", PICTURE, PathOnClient="boat.png")
    for api_version in ("65.0", "66.0"):
        source = organization_at(world.url)
        source.api_version = api_version
        assert source.visit(version, deadline=in_time()).describe().size == len(PICTURE)
        source.close()
    asked = [call["path"] for call in world.control("GET", "calls") if "ContentVersion" in call["path"]]
    assert [path.split("/")[3] for path in asked] == ["v65.0", "v66.0"]


def test_flipped_bytes_of_a_file_are_noticed(world: World) -> None:
    """A right length with wrong bytes fails the attempt, since the organization keeps the file's MD5."""
    version = world.keep("ContentVersion", PICTURE, PathOnClient="boat.png")
    world.spoil("garble", path=VERSION_BODY)
    with pytest.raises(Transient) as caught:
        world.fetch(version)
    assert caught.value.code == "answer_wrong_digest"
    assert world.fetch(version)[1] == PICTURE


@pytest.mark.parametrize(
    ("kind", "content", "fields", "code"),
    [
        ("ContentVersion", None, {"ContentUrl": "https://x.example/a.jpg"}, "attachment_elsewhere"),
        ("ContentVersion", PICTURE, {"ContentLocation": "L"}, "attachment_elsewhere"),
        ("ContentVersion", PICTURE, {"FileType": "LINK"}, "attachment_elsewhere"),
        ("Document", None, {"Url": "https://x.example/a.jpg"}, "attachment_elsewhere"),
        ("ContentVersion", b"", {}, "attachment_empty"),
        ("Document", b"", {}, "attachment_empty"),
        ("ContentVersion", b"<html>a page</html>", {}, "not_an_image"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(
    world: World, kind: str, content: bytes | None, fields: dict[str, str], code: str
) -> None:
    """Kept elsewhere, empty, no picture: each fails at once with its own code and what to do."""
    record_id = world.keep(kind, content, **fields)
    with pytest.raises(Permanent) as caught:
        world.fetch(record_id)
    assert caught.value.code == code
    assert ":" in caught.value.detail or "." in caught.value.detail


def test_deleted_and_unknown_are_told_apart(world: World) -> None:
    """What lies in the recycle bin can be restored; what is not there may not be shared with the user."""
    for answer, code in (
        (
            {"status": 404, "body": [{"errorCode": "ENTITY_IS_DELETED", "message": "entity is deleted"}]},
            "attachment_deleted",
        ),
        ({"status": 404}, "attachment_not_found"),
    ):
        world.heal()
        world.spoil("status", path="/sobjects/", **answer)
        with pytest.raises(Permanent) as caught:
            world.fetch(made_id("068", "x"))
        assert (caught.value.code, caught.value.may_appear) == (code, code == "attachment_not_found")


@pytest.mark.parametrize("told", [None, "https://evil.example/x", "../Case/5005800000HEXCtAAP", 7])
def test_a_forged_version_reaches_no_url(world: World, told: object) -> None:
    """The version that a file's row names is checked like an id that a client sends."""
    version = world.keep("ContentVersion", PICTURE, PathOnClient="boat.png")
    document = document_of(world, version)
    world.spoil("status", status=200, path="/ContentDocument/", body={"LatestPublishedVersionId": told})
    with pytest.raises(Failure) as caught:
        world.fetch(document)
    assert caught.value.code == ("attachment_unpublished" if told is None else "answer_unreadable")
    assert world.server.api.calls["row"] == 0


def test_a_known_row_is_not_asked_for_again(world: World) -> None:
    """A child of a group, whose row came with the listing, costs one call."""
    record_id = world.add()
    known = Record(id=record_id, name="a.png", size=len(PICTURE))
    visit = world.source.visit(record_id, deadline=in_time(), known=known)
    sink = io.BytesIO()
    visit.stream(visit.describe(), sink, max_bytes=1 << 24)
    assert (sink.getvalue(), visit.calls) == (PICTURE, 1)


def test_a_known_row_that_lies_is_found_out(world: World) -> None:
    """What a listing told is a claim like any other: another length fails the attempt."""
    record_id = world.add()
    visit = world.source.visit(
        record_id, deadline=in_time(), known=Record(id=record_id, size=len(PICTURE) - 1)
    )
    with pytest.raises(Transient) as caught:
        visit.stream(visit.describe(), io.BytesIO(), max_bytes=1 << 24)
    assert caught.value.code == "answer_wrong_length"

"""A Case is listed whole: its attachments, its files, those of its messages, page by page and each once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.salesforce import api
from tests.conformance.organization import PICTURE, World, in_time
from workers.failures import Failure, Permanent, Transient
from workers.sources import ListedRecord, listed


def everything(world: World, case_id: str, **options: Any) -> list[ListedRecord]:
    listing = world.source.images_of(case_id, deadline=in_time(), **options)
    return [record for page in listing for record in page]


@pytest.fixture
def case_id(world: World) -> str:
    return world.keep("Case")


def test_everything_that_hangs_on_a_case_is_listed(world: World, case_id: str) -> None:
    """Attachments and files of the Case and of its messages, none of another's, for one call a table."""
    message = world.keep("EmailMessage", ParentId=case_id)
    expected = {
        world.add(name="a.png", ParentId=case_id),
        world.add(name="b.png", ParentId=message),
        world.keep("ContentVersion", PICTURE, PathOnClient="c.png", FirstPublishLocationId=case_id),
        world.keep("ContentVersion", PICTURE, PathOnClient="d.png", FirstPublishLocationId=message),
    }
    world.add(name="other.png")
    world.keep("ContentVersion", PICTURE, FirstPublishLocationId=world.keep("Case"))
    listing = world.source.images_of(case_id, deadline=in_time())
    found = [record for page in listing for record in page]
    assert {record.record_id for record in found} == expected
    assert len(found) == len(expected)
    assert (listing.calls, world.logins) == (5, 1)
    without = everything(world, case_id[:15], include_emails=False)
    assert {record.name for record in without} == {"a.png", "c.png"}


def test_a_row_of_the_listing_is_all_that_a_fetch_needs(world: World, case_id: str) -> None:
    """Name, size, claimed type and digest come with the listing; a document keeps them and gives them back."""
    world.keep("ContentVersion", PICTURE, PathOnClient="c.png", FirstPublishLocationId=case_id)
    (record,) = everything(world, case_id)
    assert (record.kind, record.name, record.size, record.content_type) == (
        "ContentVersion",
        "c.png",
        len(PICTURE),
        "image/png",
    )
    assert record.created_at is not None
    known = listed(record.record_id, record.kept())
    visit = world.source.visit(record.record_id, deadline=in_time(), known=known)
    assert visit.describe() == known
    assert visit.calls == 0
    assert known is not None
    assert known.md5 is not None
    assert listed(record.record_id, None) is None


def test_a_file_linked_twice_is_listed_once(world: World, case_id: str) -> None:
    """A file that hangs on the Case and on a message is one picture."""
    message = world.keep("EmailMessage", ParentId=case_id)
    version = world.keep("ContentVersion", PICTURE, FirstPublishLocationId=case_id)
    document = world.server.api.records.rows("ContentVersion")[version].values["ContentDocumentId"]
    world.keep("ContentDocumentLink", ContentDocumentId=document, LinkedEntityId=message)
    assert [record.record_id for record in everything(world, case_id)] == [version]


def test_the_latest_version_stands_for_a_file(world: World, case_id: str) -> None:
    """Of a file with three versions one is listed."""
    version = world.keep("ContentVersion", PICTURE, FirstPublishLocationId=case_id)
    document = world.server.api.records.rows("ContentVersion")[version].values["ContentDocumentId"]
    newest = [world.keep("ContentVersion", PICTURE, ContentDocumentId=document) for _ in range(2)][-1]
    assert [record.record_id for record in everything(world, case_id)] == [newest]


def test_a_listing_may_begin_at_a_moment(world: World, case_id: str) -> None:
    """Only what was created since then is listed; the moment may be in any zone."""
    for name, at in (
        ("old.png", "2024-01-01T00:00:00.000+0000"),
        ("new.png", "2026-01-01T00:00:00.000+0000"),
    ):
        world.add(name=name, ParentId=case_id, CreatedDate=at)
    since = datetime(2025, 1, 1, tzinfo=UTC)
    assert [record.name for record in everything(world, case_id, created_since=since)] == ["new.png"]


def test_pages_are_followed_and_asked_for_one_by_one(
    world: World, case_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Case with more than a page is listed whole, and no page is asked for before it is wanted."""
    monkeypatch.setattr(api, "PAGE", 3)
    for number in range(8):
        world.add(name=f"{number}.png", ParentId=case_id)
    listing = world.source.images_of(case_id, include_emails=False, deadline=in_time())
    pages = iter(listing)
    assert len(next(pages)) == 3
    assert listing.calls == 1
    assert [len(page) for page in pages] == [3, 2]


def test_a_page_boundary_neither_doubles_nor_drops_a_record(
    world: World, case_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attachments, messages, links and versions each over several pages: every picture once, none forgotten."""
    monkeypatch.setattr(api, "PAGE", 3)
    messages = [world.keep("EmailMessage", ParentId=case_id) for _ in range(8)]
    expected = [world.add(name=f"{number}.png", ParentId=case_id) for number in range(11)]
    expected += [world.add(name=f"m{one}.png", ParentId=one) for one in messages]
    expected += [
        world.keep("ContentVersion", PICTURE, FirstPublishLocationId=parent)
        for parent in (case_id, *messages, case_id)
    ]
    found = [record.record_id for record in everything(world, case_id)]
    assert sorted(found) == sorted(expected)


def test_many_messages_cost_a_call_for_each_two_hundred(
    world: World, case_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages are asked about in groups that fit into a URL."""
    monkeypatch.setattr("workers.sources.salesforce.listing.IDS_A_CALL", 4)
    messages = [world.keep("EmailMessage", ParentId=case_id) for _ in range(9)]
    for number, message in enumerate(messages):
        world.add(name=f"{number}.png", ParentId=message)
    listing = world.source.images_of(case_id, deadline=in_time())
    assert len([record for page in listing for record in page]) == 9
    assert listing.calls == 1 + 1 + 3 + 3  # the Case, its messages, their attachments, the links of all ten


@pytest.mark.parametrize("text", ["00P4I00000zyw3eUAA", "500' OR Id != '", "../x", "", "5005800000HEXCtAAQ"])
def test_only_a_case_is_listed(world: World, text: str) -> None:
    """What is no Case's id reaches no query, quotes and paths included."""
    with pytest.raises(Permanent) as caught:
        world.source.images_of(text, deadline=in_time())
    assert caught.value.code == "album_id_invalid"
    assert not world.server.api.calls


@pytest.mark.parametrize(
    "body",
    [
        {"done": True, "records": [{"Id": "https://evil.example/x", "BodyLength": 1}]},
        {"done": True, "records": [{"Id": "5005800000HEXCtAAP", "BodyLength": 1}]},
        {"done": True, "records": ["a text"]},
        {"done": True, "records": "no list"},
        {"done": True},
        ["a list"],
        {"done": False, "records": []},
        {"done": False, "records": [], "nextRecordsUrl": "https://evil.example/services/data/v65.0/query/x"},
        {"done": False, "records": [], "nextRecordsUrl": "/services/data/v65.0/query/../../x"},
        {"done": False, "records": [], "nextRecordsUrl": "@evil.example/services/data/v65.0/query/x"},
    ],
)
def test_a_forged_page_is_believed_in_nothing(world: World, case_id: str, body: Any) -> None:
    """An id of another kind, a path to elsewhere, a page that is none: one attempt, and no call made of it."""
    world.spoil("status", status=200, path="/query", body=body)
    with pytest.raises(Transient) as caught:
        everything(world, case_id)
    assert caught.value.code == "answer_unreadable"
    assert world.server.api.calls["query"] == 0


def test_pages_without_end_come_to_one(world: World, case_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that always names a further page is given up."""
    monkeypatch.setattr("workers.sources.salesforce.listing.MOST_PAGES", 5)
    for number in range(9):
        further = f"/services/data/v65.0/query/01g-{number}"
        body = {"done": False, "records": [], "nextRecordsUrl": further}
        world.spoil("status", status=200, path="/query", body=body, times=1)
    listing = world.source.images_of(case_id, deadline=in_time())
    with pytest.raises(Transient):
        list(listing)
    assert listing.calls == 5


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_a_page_that_is_named_again_ends_the_listing(world: World, case_id: str, pages: int) -> None:
    """Pages that lead in a circle are each asked for once, and what is wrong is said."""
    for number in [*range(pages), *range(pages), *range(pages)]:
        further = f"/services/data/v65.0/query/01g-{number}"
        body = {"done": False, "records": [], "nextRecordsUrl": further}
        world.spoil("status", status=200, path="/query", body=body, times=1)
    listing = world.source.images_of(case_id, deadline=in_time())
    with pytest.raises(Transient, match="named before") as caught:
        list(listing)
    assert (caught.value.code, listing.calls) == ("answer_unreadable", pages + 1)


def test_a_session_that_expires_in_a_listing_is_renewed(world: World, case_id: str) -> None:
    """401 between two pages costs one login and no row."""
    world.add(ParentId=case_id)
    world.spoil("expire_sessions", path="/query")
    assert len(everything(world, case_id)) == 1
    assert world.logins == 2


def test_a_refused_listing_says_why(world: World, case_id: str) -> None:
    """A user that may not read an object is told so by a code of its own."""
    world.control("PUT", "permissions", {"denied": ["EmailMessage"]})
    with pytest.raises(Failure) as caught:
        everything(world, case_id)
    assert (type(caught.value), caught.value.code) == (Permanent, "salesforce_object_hidden")

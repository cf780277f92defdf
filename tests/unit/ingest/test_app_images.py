"""Image entries and their bytes: shown to their organization, cached rightly, and never able to hurt."""

from __future__ import annotations

from typing import Any

import pytest

from common.blobs.seam import BlobsUnavailableError
from tests.doors import (
    OPERATOR,
    ORGANIZATION_ID,
    OTHER_ORGANIZATION_ID,
    OTHER_USER_ID,
    Bytes,
    Door,
    Kept,
    image,
)

IMAGE = image("99999999-2222-4333-8444-555555555555")
URL = f"/api/v1/images/{IMAGE['_id']}"


def door_with(entry: dict[str, Any], **more: Any) -> Door:
    """Return a door whose image entry names blobs that are all there."""
    blobs = Bytes(**{one["key"]: b"thumb" for one in entry["thumbnails"]})
    blobs.blobs[entry["original"]["key"]] = b"original"
    return Door(images=Kept(entry), blobs=blobs, **more)


def test_an_image_is_shown_with_paths_to_its_bytes() -> None:
    """Every field of the interface, `metadatas` as a value, and `url`s that answer with the same token."""
    with door_with(IMAGE) as door:
        shown = door.call("GET", URL).json()
        assert list(shown) == [
            *("id", "organization_id", "import_id", "album_id", "filename", "content_type", "width"),
            *("height", "bytes", "sha256", "metadatas", "original", "thumbnails", "created_at", "recipe"),
        ]
        assert shown["metadatas"] == {"attachmentId": "00P4I00000zyw3eUAA"}
        assert [one["name"] for one in shown["thumbnails"]] == ["large", "medium", "small"]
        for one in shown["thumbnails"]:
            assert door.call("GET", one["url"]).body == b"thumb"
        assert door.call("GET", shown["original"]["url"]).body == b"original"


def test_another_organization_finds_nothing_by_any_of_the_paths() -> None:
    """Entry, original and thumbnail alike are 404, and no blob is opened."""
    with door_with(IMAGE) as door:
        for path in (URL, f"{URL}/original", f"{URL}/thumbnails/small"):
            answer = door.call("GET", path, token=door.token(OTHER_USER_ID))
            assert (answer.status, answer.json()["code"]) == (404, "not_found")
    assert door.blobs.opened == []


def test_a_file_may_be_kept_by_its_reader_and_by_nobody_between() -> None:
    """ETag is the digest, `private`, nosniff, no X-token; HEAD opens the blob and closes it unread."""
    with door_with(IMAGE) as door:
        answer = door.call("GET", f"{URL}/thumbnails/small")
        head = door.call("HEAD", f"{URL}/thumbnails/small")
    assert answer["etag"] == f'"{"3" * 64}"'
    assert "private" in (answer["cache-control"] or "")
    assert (answer["content-type"], answer["x-content-type-options"]) == ("image/jpeg", "nosniff")
    assert (answer["content-length"], answer["x-token"]) == ("5", None)
    assert (head.status, head.body, head["content-length"]) == (200, b"", "5")
    assert all(body.closed for body in door.blobs.opened)


@pytest.mark.parametrize("sent", ['"{tag}"', 'W/"{tag}"', '"other", "{tag}"', "*"])
def test_whoever_has_the_bytes_is_told_so(sent: str) -> None:
    """304 without a body, without a token, and without touching the blob store."""
    with door_with(IMAGE) as door:
        headers = [("If-None-Match", sent.replace("{tag}", "3" * 64))]
        answer = door.call("GET", f"{URL}/thumbnails/small", headers=headers)
    assert (answer.status, answer.body, answer["x-token"]) == (304, b"", None)
    assert answer["etag"] == f'"{"3" * 64}"'
    assert door.blobs.opened == []


def test_a_file_that_is_gone_is_its_own_404_and_a_store_away_is_503() -> None:
    """An operator must tell a lost blob from a lost image, and a caller come back after an outage."""
    with door_with(IMAGE) as door:
        door.blobs.error = BlobsUnavailableError("unreachable")
        away = door.call("GET", f"{URL}/original")
        door.blobs.error = None
        door.blobs.blobs.clear()
        missing = door.call("GET", f"{URL}/original")
    assert (away.status, away["retry-after"]) == (503, "2")
    assert (missing.status, missing.json()["code"]) == (404, "file_missing")


@pytest.mark.parametrize(
    "filename", ['a"b\r\nX-Evil: 1.jpg', "ünï\u202ecode.jpg", "../../etc/passwd", "", None]
)
def test_no_filename_breaks_the_disposition(filename: str | None) -> None:
    """One line of ASCII, whatever the source called the file; an original is always a download."""
    with door_with({**IMAGE, "filename": filename}) as door:
        answer = door.call("GET", f"{URL}/original")
    disposition = answer["content-disposition"] or ""
    assert disposition.startswith("attachment")
    assert disposition.isascii()
    assert not set(disposition) & set("\r\n")
    assert answer["x-evil"] is None


@pytest.mark.parametrize("claimed", ["text/html", "image/svg+xml", "image/jpeg\r\nX-Evil: 1", "", None])
def test_an_original_is_never_served_as_what_it_claims_to_be(claimed: str | None) -> None:
    """Anything but a known picture type goes out as bytes."""
    with door_with({**IMAGE, "content_type": claimed}) as door:
        answer = door.call("GET", f"{URL}/original")
    assert answer["content-type"] == "application/octet-stream"


def test_an_unknown_thumbnail_or_image_is_not_found() -> None:
    """Names and ids that are none end as 404."""
    with door_with(IMAGE) as door:
        for path in (f"{URL}/thumbnails/huge", "/api/v1/images/nonsense", "/api/v1/images/a/b/c/d"):
            assert door.call("GET", path).status == 404


def test_the_operator_sees_thumbnails_of_every_organization() -> None:
    """On the dashboard's own path, which takes no user's token for that."""
    with door_with(image("x", organization_id=OTHER_ORGANIZATION_ID)) as door:
        seen = door.call("GET", f"/dashboard/images/{IMAGE['_id']}/small", token=None, headers=OPERATOR)
        stranger = door.call("GET", f"/dashboard/images/{IMAGE['_id']}/small")
    assert (seen.status, seen.body) == (200, b"thumb")
    assert stranger.status == 401
    assert ORGANIZATION_ID not in str(stranger.body)

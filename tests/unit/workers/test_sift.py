"""What a group leaves out: only what is certain, and each with its reason."""

from __future__ import annotations

import mimetypes
from typing import Any

import pytest

from workers.sources.record import ListedRecord
from workers.stages.sift import Sift, is_no_picture

ALBUM, MAIL = "5005800000HEXCtAAP", "02s580000000001AAA"


def record(**fields: Any) -> ListedRecord:
    told: dict[str, Any] = {
        "record_id": "00P4I00000zyw3eUAA",
        "kind": "Attachment",
        "name": "a.jpg",
        "size": 50_000,
        "content_type": "image/jpeg",
        "md5": None,
        "created_at": None,
        "parent_id": ALBUM,
    }
    return ListedRecord(**{**told, **fields})


def sift(**options: Any) -> Sift:
    limits: dict[str, Any] = {"kinds": None, "max_bytes": 1_000_000, "logo_bytes": 10_240}
    return Sift(album_id=ALBUM, **{**limits, **options})


@pytest.mark.parametrize(
    ("content_type", "name", "certain"),
    [
        ("application/pdf", "a.pdf", True),
        ("text/plain; charset=utf-8", "notes", True),
        (None, "a.docx", True),
        ("application/octet-stream", "a.zip", True),
        ("application/octet-stream", "a.jpg", False),
        ("application/octet-stream", "IMG_0001.HEIC", False),
        ("application/pdf", "a.jpg", False),
        ("image/jpeg", "a.pdf", False),
        ("application/x-png", "a", False),
        (None, None, False),
        (None, "photo", False),
        (None, "report of jane@mail.gmail.com", False),
        (None, "sent to x.me", False),
        (None, "x.ai", False),
        ("application/x-msdos-program", "jane@mail.gmail.com", False),
        ("application/octet-stream", "damage.2024", False),
        ("application/illustrator", "drawing", False),
        (None, "front.door.PDF ", True),
        ("video/mp4", "clip", True),
        ("video/quicktime", "IMG_0001.HEIC", False),
        ("application/vnd.ms-excel", "list", True),
        (None, ".jpg", False),
    ],
)
def test_only_what_nothing_calls_a_picture_is_left_out(
    content_type: str | None, name: str | None, certain: bool
) -> None:
    """A doubt costs one call; a picture that was wrongly left out is missed when it is needed."""
    assert is_no_picture(content_type, name) is certain


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, None),
        ({"size": None, "content_type": None, "name": None}, None),
        ({"size": 0}, "attachment_empty"),
        ({"size": 1_000_001}, "attachment_too_large"),
        ({"name": "image001.png", "size": 900, "parent_id": MAIL}, "signature_logo"),
        ({"name": "image001.png", "size": 900}, None),
        ({"name": "image001.png", "size": 90_000, "parent_id": MAIL}, None),
        ({"name": "damage.png", "size": 900, "parent_id": MAIL}, None),
    ],
)
def test_each_reason(fields: dict[str, Any], code: str | None) -> None:
    """A signature's logo is small, hangs on a mail and is called like one: all three, or it is imported."""
    assert sift().left_out(record(**fields)) == code


def test_the_request_narrows() -> None:
    """Kinds and size of the request hold beside the limits of the workers."""
    narrow = sift(kinds=frozenset({"ContentVersion"}), max_bytes=100)
    assert narrow.left_out(record()) == "kind_not_asked"
    assert narrow.left_out(record(kind="ContentVersion")) == "attachment_too_large"


def test_a_content_is_imported_once() -> None:
    """The second of two files with one checksum is left out, also where the first was imported before."""
    one, other = "0" * 32, "1" * 32
    judge = sift()
    assert judge.left_out(record(md5=one)) is None
    assert judge.left_out(record(md5=one)) == "duplicate_content"
    judge.saw(record(md5=other))
    assert judge.left_out(record(md5=other)) == "duplicate_content"


def test_the_machine_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file is called by a table of this machine leaves nothing out."""
    monkeypatch.setattr(mimetypes, "guess_type", lambda *_: ("application/pdf", None))
    assert not is_no_picture(None, "photo.of.the.damage")

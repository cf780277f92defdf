"""Idempotency-Key: what is a key, what is the same request, and what a repetition is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingest import idempotency
from ingest.errors import BadRequestError
from tests.doors import FORM, OTHER_USER_ID, Answer, Door

IMPORTS = "/api/v1/imports"
ID = "00000000-0000-4000-8000-00000000000{}".format


def sent(*keys: bytes) -> str | None:
    return idempotency.key_of([(b"accept", b"*/*"), *((b"idempotency-key", key) for key in keys)])


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (b"order-17", "order-17"),
        (b'"order-17"', "order-17"),
        (b'  "order-17"\t', "order-17"),
        (b'"a \\"b\\" \\\\c"', 'a "b" \\c'),
        (b'a "b"', 'a "b"'),
        (b"x" * 255, "x" * 255),
        (b'"' + b"x" * 255 + b'"', "x" * 255),
    ],
)
def test_a_key_is_read_bare_or_quoted(header: bytes, key: str) -> None:
    """Quotes are no part of a key, so both spellings of one key name the same request."""
    assert sent(header) == key


def test_no_key_is_no_key() -> None:
    """Old clients send none."""
    assert sent() is None


@pytest.mark.parametrize(
    "headers",
    [
        (b"",),
        (b"   ",),
        (b'""',),
        (b'"open',),
        (b'"a";b',),
        (b'"a\\b"',),
        (b"x" * 256,),
        (b'"' + b"x" * 256 + b'"',),
        ("schlüssel".encode(),),
        (b"a\x01b",),
        (b"a\x7f",),
        (b"one", b"one"),
        (b"one", b"two"),
    ],
)
def test_what_cannot_be_a_key_is_refused(headers: tuple[bytes, ...]) -> None:
    """A client that relies on its key learns at once that it would not hold."""
    with pytest.raises(BadRequestError) as refused:
        sent(*headers)
    assert refused.value.code == "idempotency_key_invalid"


def test_the_order_of_names_does_not_count_and_values_do() -> None:
    """Equal parameters have one digest however they are ordered, at any depth; types and lists keep theirs."""
    one: dict[str, Any] = {"a": {"x": 1, "y": [1, 2]}, "b": None}
    assert idempotency.digest(one) == idempotency.digest({"b": None, "a": {"y": [1, 2], "x": 1}})
    others: tuple[dict[str, Any], ...] = (
        {"a": {"x": 1, "y": [2, 1]}, "b": None},
        {"a": {"x": "1", "y": [1, 2]}, "b": None},
        {"a": {"x": 1, "y": [1, 2]}},
        {"a": {"x": 1, "y": [1, 2]}, "b": ""},
    )
    assert len({idempotency.digest(other) for other in (one, *others)}) == 5


def post(door: Door, key: str | None, body: bytes, **more: Any) -> Answer:
    headers = [FORM] if key is None else [FORM, ("Idempotency-Key", key)]
    return door.call("POST", more.pop("path", IMPORTS), headers=headers, body=body, **more)


def test_a_repetition_is_answered_with_the_import_as_it_is_now() -> None:
    """The same id with what became of it meanwhile, a header that says so, and no second bell."""
    with Door(ids=[ID(1), ID(2), ID(3), ID(4)]) as door:
        first = post(door, '"k"', b"album_id=a&attachment_id=00P4I00000zyw3eUAA")
        import_id = first.json()["id"]
        door.imports.documents[import_id]["image_id"] = ID(9)
        again = post(door, "k", b"attachment_id=00P4I00000zyw3eUAA&album_id=a")
        assert len(door.imports.documents) == 1
    assert first["idempotent-replayed"] is None
    assert (again.status, again["idempotent-replayed"]) == (200, "true")
    assert (again.json()["id"], again.json()["image_id"]) == (import_id, ID(9))
    assert again["location"] == f"{IMPORTS}/{import_id}"
    assert again["x-token"]
    assert list(again.json()) == list(first.json())
    assert len(door.rung) == 1


def test_another_request_under_a_used_key_is_refused() -> None:
    """422 with its code, and nothing is recorded, whether the body, the query or the route's format differs."""
    with Door(ids=[ID(n) for n in range(1, 9)]) as door:
        post(door, "k", b"album_id=a")
        for body, path in ((b"album_id=b", IMPORTS), (b"album_id=a", f"{IMPORTS}?x=1"), (b"album_id=a", f"{IMPORTS}.json")):  # fmt: skip
            answer = post(door, "k", body, path=path)
            assert (answer.status, answer.json()["code"]) == (422, "idempotency_key_reused")
            assert answer["x-token"] is None
        assert len(door.imports.documents) == 1


def test_a_refused_import_is_repeated_like_any_other() -> None:
    """What failed as it was recorded is the answer to its key; a repetition makes no second failure."""
    with Door(ids=[ID(n) for n in range(1, 9)]) as door:
        first, again = (post(door, "k", b"import_type=ftp") for _ in range(2))
        assert first.json()["id"] == again.json()["id"]
        assert [one["status"] for one in door.imports.documents.values()] == ["failed"]
    assert door.rung == []


def test_a_key_counts_inside_its_organization() -> None:
    """Another organization's equal key is another key: nothing of the first import is seen."""
    with Door(ids=[ID(n) for n in range(1, 9)]) as door:
        mine = post(door, "k", b"album_id=a")
        theirs = post(door, "k", b"album_id=a", token=door.token(OTHER_USER_ID))
    assert theirs["idempotent-replayed"] is None
    assert mine.json()["id"] != theirs.json()["id"]


def test_a_bad_key_is_refused_before_the_body_is_read() -> None:
    """400 with its code, although the body never arrives."""
    with Door() as door:
        headers = [FORM, ("Idempotency-Key", ""), ("Content-Length", "10")]
        answer = door.call("POST", IMPORTS, headers=headers, body=None)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "idempotency_key_invalid")


def test_without_a_key_nothing_is_new() -> None:
    """Old clients: two requests make two imports, and neither the answer nor the document tells of keys."""
    with Door(ids=[ID(n) for n in range(1, 9)]) as door:
        answers = [post(door, None, b"album_id=a") for _ in range(2)]
        assert len(door.imports.documents) == 2
        names = {name for one in door.imports.documents.values() for name in one}
    assert all(answer["idempotent-replayed"] is None for answer in answers)
    assert not [name for name in names if name.startswith("idempotency")]

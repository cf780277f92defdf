"""JSON bodies keep every type, and everything that is not strictly JSON is a 400."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import json_body
from ingest.errors import BadRequestError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)

REFUSED = [
    b" ",
    b"\n\t",
    b"\0",
    b"{",
    b"}",
    b"[1,]",
    b'{"a":1,}',
    b"01",
    b"-01",
    b"+1",
    b".5",
    b"1.",
    b"1e",
    b"0x1",
    b"NaN",
    b"[Infinity]",
    b"-Infinity",
    b"nul",
    b"'a'",
    b"{a:1}",
    b"{1:1}",
    b'"\n"',
    b'"\\x41"',
    b"{} {}",
    b"{}x",
    b"/* c */ {}",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\0}\0",
    b'"\xff"',
    b'"\\ud800"',
    b'{"\\udc00":1}',
    b'["\\ud800\\u0041"]',
    b'"\xed\xa0\x80"',
    b"1" * 4_301,
    b"-" + b"1" * 5_000,
    b'{"a":' + b"9" * 5_000 + b"}",
]

KEPT: list[tuple[bytes, dict[str, Any]]] = [
    (b"", {}),
    (b"{}", {}),
    (b'{"a":1,"b":2,"a":3}', {"a": 3, "b": 2}),
    (b'{"a":true,"b":false,"c":null,"d":1.5,"e":-0}', {"a": True, "b": False, "c": None, "d": 1.5, "e": 0}),
    (b'{"a":18446744073709551616}', {"a": 2**64}),
    (b"9" * 4_300, {"_json": int("9" * 4_300)}),
    (b'{"a[b]":1,"$where":2,"a.b":3,"\\u0000":4,"":5}', {"a[b]": 1, "$where": 2, "a.b": 3, "\0": 4, "": 5}),
    (b"[1,2]", {"_json": [1, 2]}),
    (b'"a"', {"_json": "a"}),
    (b"null", {"_json": None}),
    (b"1e400", {"_json": math.inf}),
    (b'"\\ud83d\\ude00"', {"_json": "\U0001f600"}),
]


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: repr(body[:20]))
def test_what_is_not_strict_json_is_refused(body: bytes) -> None:
    """Each is a 400 with the JSON's code: what Python's reader takes, and what it fails on in its own way."""
    with pytest.raises(BadRequestError) as refusal:
        json_body.parsed(body)
    assert refusal.value.code == "json_malformed"


@pytest.mark.parametrize(("body", "meant"), KEPT, ids=lambda value: repr(value)[:30])
def test_types_order_and_odd_names_survive(body: bytes, meant: dict[str, Any]) -> None:
    """Values are equal in type and order; a document that is no object stands under `_json`."""
    found = json_body.parsed(body)
    assert found == meant
    assert list(map(repr, found.items())) == list(map(repr, meant.items()))


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_hundred_levels_pass_and_one_more_is_refused(opening: bytes, closing: bytes) -> None:
    """The limit is exact, and nesting that overflows Python's own reader is refused in the same way."""
    assert json_body.parsed(opening * 100 + (b"1" if opening != b"[" else b"") + closing * 100)
    for levels in (101, 400, 100_000):
        with pytest.raises(BadRequestError) as refusal:
            json_body.parsed(opening * levels + b"1" + closing * levels)
        assert refusal.value.code == "parameters_too_deep"


@settings(deadline=None)
@given(JSON)
def test_every_document_comes_back_as_it_was(document: Any) -> None:
    """What any writer of JSON sends is read with the same values, escaped or not."""
    for body in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
        found = json_body.parsed(body.encode())
        assert found == (document if isinstance(document, dict) else {"_json": document})


@settings(deadline=None)
@given(
    st.binary(max_size=60)
    | st.text(alphabet='{}[]":,0123456789.eE+-truefalsnN\\ud8 ', max_size=40).map(str.encode)
)
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    """Whatever arrives is read or refused."""
    with contextlib.suppress(BadRequestError):
        json_body.parsed(body)

"""Body and query become one set of parameters, in the order and with the precedence of the original."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import params
from ingest.errors import BadRequestError, PayloadTooLargeError, UnsupportedMediaTypeError

ADDED = {"controller": "api/v1/imports", "action": "create"}


def merged(
    body: bytes = b"",
    *,
    content_type: str | None = None,
    query: bytes | str = b"",
    format: str | None = None,  # noqa: A002 - as the function under test has it
) -> dict[str, Any]:
    return params.merged(body=body, content_type=content_type, query=query, format=format)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        " ",
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-URLEncoded; charset=iso-8859-1",
    ],
)
def test_forms_are_read_under_each_of_their_names(content_type: str | None) -> None:
    """No Content-Type means a form; a charset is not honoured."""
    assert merged(b"a[b]=%C3%A9", content_type=content_type) == {"a": {"b": "é"}, **ADDED}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json;charset=utf-8",
        "text/x-json",
        "application/jsonrequest",
    ],
)
def test_json_is_read_under_each_of_its_names(content_type: str) -> None:
    """JSON keeps types, and its bracketed keys are literal."""
    assert merged(b'{"a[b]":1}', content_type=content_type) == {"a[b]": 1, **ADDED}


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/json+x", "multipart/mixed", "*/*", "a"]
)
def test_other_bodies_are_refused_and_empty_ones_are_not_bodies(content_type: str) -> None:
    """415 needs a body; without one there is nothing that could not be read."""
    assert merged(content_type=content_type) == ADDED
    with pytest.raises(UnsupportedMediaTypeError):
        merged(b"a=1", content_type=content_type)


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "multipart/form-data; boundary=b", "multipart/form-data"]
)
def test_an_empty_body_is_fine(content_type: str | None) -> None:
    """The echo then holds controller and action only."""
    assert merged(content_type=content_type) == ADDED


def test_the_query_wins_and_new_keys_come_after_those_of_the_body() -> None:
    """The overlay is shallow: a hash of the query replaces a hash of the body, in the body's place."""
    found = merged(b"a[x]=1&b=2", query=b"c=3;a[y]=4", format="json")
    assert list(found.items()) == [
        ("a", {"y": "4"}),
        ("b", "2"),
        ("c", "3"),
        *ADDED.items(),
        ("format", "json"),
    ]


def test_controller_and_action_are_ours_in_the_client_s_place() -> None:
    """A client's values are overwritten, its order is kept; its `format` and `_method` are only echoed."""
    found = merged(b"action=x&format=y&_method=delete", query=b"controller[z]=1")
    assert list(found.items()) == [
        ("action", "create"),
        ("format", "y"),
        ("_method", "delete"),
        ("controller", "api/v1/imports"),
    ]
    assert list(merged(b"format=y&a=1", format="json")) == ["format", "a", "controller", "action"]


def test_nulls_leave_arrays_and_stay_in_hashes() -> None:
    """Deeply, from forms, queries and JSON alike; an array left empty stays."""
    assert merged(b"a[]&b&c[d]", query=b"e[][f]&x[]]") == {
        "a": [], "b": None, "c": {"d": None}, "e": [{"f": None}], "x": [], **ADDED,
    }  # fmt: skip
    body = b'[null,1,[null],{"a":null,"b":[null,2]}]'
    assert merged(body, content_type="application/json") == {"_json": [1, [], {"a": None, "b": [2]}], **ADDED}
    assert merged(b"null", content_type="application/json") == {"_json": None, **ADDED}


def test_a_query_may_come_as_text() -> None:
    """Raw non-ASCII is UTF-8, and what no UTF-8 holds is refused like any broken query."""
    assert merged(query="a=é") == {"a": "é", **ADDED}
    with pytest.raises(BadRequestError):
        merged(query="a=\udcff")


def test_a_parameter_that_is_not_text_counts_as_absent() -> None:
    """Hashes, arrays, numbers, booleans and null are no album; the empty text is one."""
    sent = merged(
        b'{"a":"x","b":"","c":1,"d":null,"e":["x"],"f":{"x":1},"g":true}', content_type="application/json"
    )
    assert {name: params.text(sent, name) for name in "abcdefgh"} == {
        "a": "x", "b": "", "c": None, "d": None, "e": None, "f": None, "g": None, "h": None,
    }  # fmt: skip


def test_the_frozen_echo_loses_nothing() -> None:
    """NUL and operators in keys, integers beyond 64 bits, a hundred levels, `<`: text, and the same again."""
    deep: Any = "x"
    for _ in range(99):
        deep = {"k": deep}
    body = {
        "\0": 1,
        "$set": {"a.b": 2**80},
        "deep": deep,
        "t": "<é\u2028>",
        "f": [1.5, -0.0, 1e22],
        "b": True,
    }
    sent = merged(json.dumps(body).encode(), content_type="application/json")
    text = params.frozen(sent)
    assert json.loads(text) == {**body, **ADDED}
    assert "<é" in text


def test_an_echo_that_no_document_could_hold_is_refused() -> None:
    """Control characters grow sixfold as JSON; past the store's limit that is a 413, not a failing write."""
    assert params.frozen({"a": "é" * 1_000_000})
    with pytest.raises(PayloadTooLargeError):
        params.frozen({"a": "\0" * (params.LARGEST_ECHO // 6)})


@settings(deadline=None)
@given(
    st.binary(max_size=60),
    st.binary(max_size=40),
    st.sampled_from(
        [None, "application/json", "multipart/form-data; boundary=b", "text/x", "multipart/form-data"]
    ),
)
def test_no_request_raises_anything_but_a_refusal(
    body: bytes, query: bytes, content_type: str | None
) -> None:
    """Whatever arrives becomes parameters with our two keys and an echo, or is refused."""
    with contextlib.suppress(BadRequestError, UnsupportedMediaTypeError):
        found = merged(body, query=query, content_type=content_type)
        assert found["controller"] == "api/v1/imports"
        assert isinstance(json.loads(params.frozen(found)), dict)

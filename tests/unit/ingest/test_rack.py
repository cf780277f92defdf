"""Forms and queries are read as Rack 2 reads them, odd brackets and all; the rows are the contract's."""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import rack
from ingest.errors import BadRequestError

MEANINGS: list[tuple[bytes, dict[str, Any]]] = [
    (b"", {}),
    (b"a=1", {"a": "1"}),
    (b"a", {"a": None}),
    (b"a=", {"a": ""}),
    (b"=1", {}),
    (b"=", {}),
    (b"&&a=1&&", {"a": "1"}),
    (b"a=1& b=2&  c=3", {"a": "1", "b": "2", "c": "3"}),
    (b" a=1 &b= 2", {" a": "1 ", "b": " 2"}),
    (b"a=1=2", {"a": "1=2"}),
    (b"a=1&b=2&a=3", {"a": "3", "b": "2"}),
    (b"a+b=c+d", {"a b": "c d"}),
    (b"a%2Bb=c%2bd", {"a+b": "c+d"}),
    (b"n=%C3%A9&m=\xc3\xa9", {"n": "é", "m": "é"}),
    (b"a%00b=%00", {"a\0b": "\0"}),
    (b"$where=1&a.b=2", {"$where": "1", "a.b": "2"}),
    # hashes
    (b"a[b]=1", {"a": {"b": "1"}}),
    (b"a%5Bb%5D=1", {"a": {"b": "1"}}),
    (b"a[b][c]=1&a[b][d]=2&a[e]=3", {"a": {"b": {"c": "1", "d": "2"}, "e": "3"}}),
    (b"a[0]=x&a[1]=y", {"a": {"0": "x", "1": "y"}}),
    (b"a[b]=1&a[b]=2", {"a": {"b": "2"}}),
    # arrays
    (b"a[]=1&a[]=2", {"a": ["1", "2"]}),
    (b"a[]", {"a": [None]}),
    (b"a[]=", {"a": [""]}),
    (b"a[][x]=1&a[][y]=2", {"a": [{"x": "1", "y": "2"}]}),
    (b"a[][x]=1&a[][x]=2", {"a": [{"x": "1"}, {"x": "2"}]}),
    (b"a[][x]=1&a[][y]=2&a[][x]=3", {"a": [{"x": "1", "y": "2"}, {"x": "3"}]}),
    (b"a[][x][y]=1&a[][x][z]=2", {"a": [{"x": {"y": "1", "z": "2"}}]}),
    (b"a[][x][y]=1&a[][x][y]=2", {"a": [{"x": {"y": "1"}}, {"x": {"y": "2"}}]}),
    (b"a[][x][]=1&a[][x][]=2", {"a": [{"x": ["1", "2"]}]}),
    (b"a[b][]=1&a[b][]=2", {"a": {"b": ["1", "2"]}}),
    (b"a[][]=1&a[][]=2", {"a": [["1"], ["2"]]}),
    (b"a[][]", {"a": [None]}),
    (b"a[]x=1", {"a": [{"x": "1"}]}),
    # brackets that are odd, and never fail
    (b"x[y=1", {"x": {"y": "1"}}),
    (b"x]=1", {"x": "1"}),
    (b"[x]=1", {"x": "1"}),
    (b"[[x]]]=1", {"x": "1"}),
    (b"x[=1", {"x[": "1"}),
    (b"a[x[=1", {"a": {"[x[": "1"}}),
    (b"x[[]]=1", {"x": None}),
    (b"x[]]=1", {"x": [None]}),
    (b"[]=1", {}),
    (b"[=1&]=1&[][]=1", {}),
    (b"x]y=1", {"x": {"y": "1"}}),
    (b"x[y]z=1", {"x": {"y": {"z": "1"}}}),
    (b"x[y]\n[][z]=1", {"x": [{"z": "1"}]}),
    (b"x[]\n=1", {"x": {"\n": "1"}}),
    # what may replace what
    (b"a[b]=1&a=2", {"a": "2"}),
    (b"a[]=1&a=2", {"a": "2"}),
    (b"a&a[b]=1", {"a": {"b": "1"}}),
    (b"a&a[]=1", {"a": ["1"]}),
    (b"z[a]=1&z[[]]=1", {"z": None}),
]

CONFLICTS = [
    b"a=1&a[b]=2",
    b"a=&a[b]=2",
    b"a=1&a[]=2",
    b"a[b]=1&a[]=2",
    b"a[b]=1&a[][x]=2",
    b"a[]=1&a[b]=2",
    b"a[b]=1&a[b][c]=2",
    b"a=1&a[][x]=2",
]

BROKEN = [
    b"%",
    b"a=%",
    b"a=%4",
    b"a=%4G",
    b"%zz=1",
    b"=%",
    b"a=%ff",
    b"%c3%28=1",
    b"\xff=1",
    b"a=\xed\xa0\x80",
    b"a[=%u0041",
]


def plain(value: Any) -> Any:
    """Return a parsed value without the parser's own type of hash."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("sent", "meant"), MEANINGS)
def test_every_form_has_the_original_s_meaning(sent: bytes, meant: dict[str, Any]) -> None:
    """The values are the original's, and so is their order."""
    found = plain(rack.form(sent))

    assert found == meant
    assert list(found) == list(meant)


@pytest.mark.parametrize("sent", CONFLICTS)
def test_a_name_used_in_two_ways_is_refused(sent: bytes) -> None:
    """Text, hash and array under one name is 400, and the answer repeats no name."""
    with pytest.raises(BadRequestError) as refusal:
        rack.form(sent)
    assert refusal.value.code == "parameters_conflict"


@pytest.mark.parametrize("sent", BROKEN)
def test_broken_escapes_and_broken_utf8_are_refused(sent: bytes) -> None:
    """A percent sign without two digits, or bytes that are no UTF-8, are 400 in keys and in values."""
    for read, code in ((rack.form, "form_malformed"), (rack.query, "query_malformed")):
        with pytest.raises(BadRequestError) as refusal:
            read(sent)
        assert refusal.value.code == code


def test_a_body_splits_at_ampersands_and_a_query_at_semicolons_too() -> None:
    """The same text means one pair in a body and two in a query."""
    assert rack.form(b"a=1;b=2") == {"a": "1;b=2"}
    assert rack.query(b"a=1; b=2&c=3") == {"a": "1", "b": "2", "c": "3"}


def test_one_nul_at_the_end_of_a_body_is_dropped() -> None:
    """Exactly one, of a body only: a query keeps it."""
    assert rack.form(b"a=1\0") == {"a": "1"}
    assert rack.form(b"a=1\0\0") == {"a": "1\0"}
    assert rack.form(b"\0") == {}
    assert rack.query(b"a=1\0") == {"a": "1\0"}


@pytest.mark.parametrize("part", ["[b]", "[]"])
def test_a_hundred_levels_pass_and_one_more_is_refused(part: str) -> None:
    """The first name is a level, and each pair of brackets that holds another level is one."""
    last = "[z]" if part == "[]" else part
    assert rack.form(f"a{part * 98}{last}=1".encode())
    with pytest.raises(BadRequestError) as refusal:
        rack.form(f"a{'[b]' * 100}=1".encode())
    assert refusal.value.code == "parameters_too_deep"


def test_nesting_far_past_the_limit_is_refused_like_any_other() -> None:
    """Two hundred thousand brackets are 400, not a stack that overflows."""
    for sent in (b"a" + b"[b]" * 200_000, b"a" + b"[b" * 200_000, b"a" + b"[][b]" * 200_000):
        with pytest.raises(BadRequestError) as refusal:
            rack.form(sent)
        assert refusal.value.code == "parameters_too_deep"
    assert rack.form(b"a" + b"[]" * 200_000 + b"=1&" + b"[" * 200_000) == {"a": [None]}


def test_names_of_one_level_are_limited_and_levels_count_apart() -> None:
    """65,536 characters of names pass on each of two levels; one more on either is refused."""
    name = b"n" * (rack.KEY_CHARACTERS - 1)
    assert rack.form(b"a[" + name + b"]=1&a[x]=1&" + name + b"=1&a[x]=2")
    for over in (b"a[" + name + b"]=1&a[xy]=1", name + b"=1&xy"):
        with pytest.raises(BadRequestError) as refusal:
            rack.form(over)
        assert refusal.value.code == "parameters_too_wide"


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[^\[\]\0]+", fullmatch=True), st.text(), max_size=8))
def test_what_is_sent_plainly_comes_back(pairs: dict[str, str]) -> None:
    """Any names without brackets and any texts survive the way through the encoding."""
    sent = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs.items())
    assert rack.form(sent.encode()) == pairs
    assert rack.query(sent.encode()) == pairs


@settings(deadline=None)
@given(st.binary(max_size=80) | st.text(alphabet="ab[]=&;%0+ \n\0é", max_size=40).map(str.encode))
def test_no_bytes_raise_anything_but_a_refusal(sent: bytes) -> None:
    """Whatever arrives is read or refused."""
    for read in (rack.form, rack.query):
        with contextlib.suppress(BadRequestError):
            read(sent)

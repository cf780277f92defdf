"""Multipart forms hand over literal fields, and no file."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import multipart
from ingest.errors import BadRequestError

TYPE = "multipart/form-data; boundary=edge"


def field(name: str, value: bytes, *, more: str = "") -> bytes:
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


END = b"--edge--\r\n"


def test_fields_are_literal_and_names_have_the_form_s_grammar() -> None:
    """Brackets nest; plus, percent, ampersand and line breaks are themselves."""
    body = field("a[b]", b"1+1=2&%41\r\n") + field("c[]", "é".encode()) + field("c[]", b"") + END
    assert multipart.parsed(body, TYPE) == {"a": {"b": "1+1=2&%41\r\n"}, "c": ["é", ""]}


def test_what_stands_around_the_parts_and_in_their_other_headers_is_ignored() -> None:
    """A preamble, an epilogue, a quoted boundary and a part's Content-Type change nothing."""
    part = b"--edge\r\ncontent-type: text/plain; charset=iso-8859-1\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n"
    assert multipart.parsed(
        b"before\r\n" + part + END + b"after", 'Multipart/Form-Data; boundary="edge"'
    ) == {"a": "1"}
    assert multipart.parsed(END, TYPE) == {}
    assert multipart.parsed(b"", TYPE) == {}


@pytest.mark.parametrize(
    "part",
    [
        field("a", b"1", more='; filename="a.jpg"'),
        field("a", b"", more='; filename="a.jpg"'),
        field("a", b"1", more='; filename=""'),
        field("a", b"1", more="; filename*=UTF-8''a.jpg"),
        field("a", b"\xff\xd8\xff", more='; filename="a.jpg"'),
    ],
)
def test_a_file_is_refused(part: bytes) -> None:
    """Bytes come from the source that the record names, never from the caller."""
    with pytest.raises(BadRequestError) as refusal:
        multipart.parsed(part + END, TYPE)
    assert refusal.value.code == "file_not_accepted"


def test_a_file_input_in_which_nobody_chose_a_file_is_nothing() -> None:
    """Browsers send an empty name and no bytes for it."""
    assert multipart.parsed(field("a", b"", more='; filename=""') + field("b", b"1") + END, TYPE) == {
        "b": "1"
    }


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"no boundary at all", TYPE),
        (field("a", b"1"), TYPE),
        (b"--edge\r\n\r\n1\r\n" + END, TYPE),
        (b"--edge\r\nContent-Disposition: form-data\r\n\r\n1\r\n" + END, TYPE),
        (b"--edge\r\nContent-Disposition: form-data; name=a\r\n" + END, TYPE),
        (field("a", b"\xff") + END, TYPE),
        (b'--edge\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n' + END, TYPE),
        (field("a", b"1") + END, "multipart/form-data"),
        (field("a", b"1") + END, "multipart/form-data; boundary="),
        (field("a", b"1") + END, "multipart/form-data; boundary=" + "x" * 71),
        (field("a", b"1") + END, "multipart/form-data; boundary=\udcff"),
        (field("a", b"1") * (multipart.PARTS + 1) + END, TYPE),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_form_that_cannot_be_taken_apart_is_refused(body: bytes, content_type: str) -> None:
    """No boundary, no end, no name, no UTF-8, too many parts: 400 each."""
    with pytest.raises(BadRequestError) as refusal:
        multipart.parsed(body, content_type)
    assert refusal.value.code == "multipart_malformed"


def test_a_name_used_in_two_ways_is_refused_as_in_a_form() -> None:
    """The grammar's own refusals pass through."""
    with pytest.raises(BadRequestError) as refusal:
        multipart.parsed(field("a", b"1") + field("a[]", b"1") + END, TYPE)
    assert refusal.value.code == "parameters_conflict"


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"--edge", b"\r\n", b"--", b"Content-Disposition: form-data; name=", b'"a[', b"\xff", b"="]
        )
    )
)
def test_no_bytes_raise_anything_but_a_refusal(pieces: list[bytes]) -> None:
    """Whatever arrives is read or refused."""
    with contextlib.suppress(BadRequestError):
        multipart.parsed(b"".join(pieces), TYPE)

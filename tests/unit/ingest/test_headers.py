"""The headers of every answer, and the few that are made from what a caller sent."""

from __future__ import annotations

import re
import string
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import headers

NEW = "20e11784-6c4f-4f81-a530-4dcebe62cf4a"


@pytest.mark.parametrize(
    ("inbound", "kept"),
    [
        (None, NEW),
        ("", NEW),
        ("  \r\n", NEW),
        ("é.:/", NEW),
        ("abc-DEF_1@x", "abc-DEF_1@x"),
        ("a b\r\nSet-Cookie: x=1", "abSet-Cookiex1"),
        ("a" * 300, "a" * 255),
        ("é" * 300 + "a" * 300, "a" * 255),
    ],
)
def test_a_request_id_is_the_caller_s_as_far_as_it_is_plain(inbound: str | None, kept: str) -> None:
    """Odd characters are removed before it is cut; what leaves nothing gets a new id."""
    assert headers.request_id(inbound, lambda: NEW) == kept


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.208305, "0.208305"),
        (0, "0.000000"),
        (12.3456789, "12.345679"),
        (-1e-9, "0.000000"),
        (float("nan"), "0.000000"),
    ],
)
def test_a_runtime_has_six_decimals(seconds: float, written: str) -> None:
    """Always six, and never a sign or a word."""
    assert headers.runtime(seconds) == written


def test_a_problem_s_set_differs_in_its_type_only_and_has_no_token() -> None:
    """No X-token unless one is handed in."""
    plain = headers.answer(request_id="r", runtime="0.000001")
    assert "X-token" not in dict(plain)
    assert [
        pair for pair in headers.answer(request_id="r", runtime="0.000001", token="t") if pair not in plain
    ] == [("X-token", "t")]


def test_files_may_be_kept_by_their_reader_only() -> None:
    """Private, asked for again each time, with their digest as validator and nothing that a page could do."""
    found = dict(
        headers.file(
            request_id="r",
            runtime="0.1",
            content_type="image/jpeg",
            sha256="ab",
            filename="a.jpg",
            inline=True,
        )
    )
    assert found["Cache-Control"] == "private, no-cache"
    assert found["ETag"] == '"ab"'
    assert found["Content-Disposition"] == 'inline; filename="a.jpg"'
    assert found["X-Content-Type-Options"] == "nosniff"
    assert not {"X-token", "Pragma", "Expires", "Vary"} & set(found)


@pytest.mark.parametrize(
    ("filename", "written"),
    [
        (None, "inline"),
        ("", "inline"),
        (" .. ", "inline"),
        ("\r\n\0", "inline"),
        ("Image123.jpg", 'inline; filename="Image123.jpg"'),
        ("a b;c.jpg", "inline; filename=\"a b_c.jpg\"; filename*=UTF-8''a%20b%3Bc.jpg"),
        ("été.jpg", "inline; filename=\"_t_.jpg\"; filename*=UTF-8''%C3%A9t%C3%A9.jpg"),
        ('a"b.jpg', "inline; filename=\"a_b.jpg\"; filename*=UTF-8''a%22b.jpg"),
        ("100%41.jpg", "inline; filename=\"100_41.jpg\"; filename*=UTF-8''100%2541.jpg"),
        (
            "a\r\nSet-Cookie: x=1.jpg",
            "inline; filename=\"aSet-Cookie_ x=1.jpg\"; filename*=UTF-8''aSet-Cookie%3A%20x%3D1.jpg",
        ),
        ("../../etc/passwd", 'inline; filename="_.._etc_passwd"'),
        ("..\\a.jpg", 'inline; filename="_a.jpg"'),
        ("gpj\u202egnp.exe", 'inline; filename="gpjgnp.exe"'),
        ("a\ud800.jpg", "inline; filename=\"a_.jpg\"; filename*=UTF-8''a%3F.jpg"),
    ],
)
def test_a_filename_is_written_for_old_and_new_agents(filename: str | None, written: str) -> None:
    """`filename` where it says all, `filename*` beside it where it does not, neither where nothing is left."""
    assert headers.content_disposition(filename, inline=True) == written


def test_a_long_filename_keeps_its_extension() -> None:
    """It loses its middle."""
    written = headers.content_disposition("é" * 500 + ".jpeg", inline=False)
    name = unquote(written.partition("''")[2])
    assert len(name) == 150
    assert name.endswith(".jpeg")


PLAIN = set(string.printable) - set("\r\n\t\v\f")


@settings(deadline=None)
@given(st.text() | st.text(alphabet='a"\\\r\n;=%/.\0é\ud800\u202e\u2028', max_size=300), st.booleans())
def test_no_filename_breaks_the_header(filename: str, inline: bool) -> None:
    """One line of printable ASCII, quotes closed, and the exact name decodable from it."""
    written = headers.content_disposition(filename, inline=inline)
    assert set(written) <= PLAIN
    assert re.fullmatch(
        r"(inline|attachment)(; filename=\"[^\"\\%/;]+\"(; filename\*=UTF-8''([A-Za-z0-9!#$&+\-.^_`|~]|%[0-9A-F]{2})+)?)?",
        written,
    )
    if "''" in written:
        assert not set("\r\n\0/\\\u202e\u2028") & set(unquote(written.partition("''")[2], errors="strict"))

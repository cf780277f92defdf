"""JSON is written as the original wrote it: compact, escaped for HTML, with its digits for floats."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import json_text

WRITTEN: list[tuple[Any, str]] = [
    ({"a": 1, "b": [True, None, "x"]}, '{"a":1,"b":[true,null,"x"]}'),
    ("<a href='x'>&</a>", r'''"\u003ca href='x'\u003e\u0026\u003c/a\u003e"'''),
    ("\u2028\u2029", r'"\u2028\u2029"'),
    ('é\U0001f600/\\"\x7f', '"é\U0001f600/\\\\\\"\x7f"'),
    ("\0\b\t\n\f\r\x1f", r'"\u0000\b\t\n\f\r\u001f"'),
    ({"<": "&"}, r'{"\u003c":"\u0026"}'),
    ("\ud800", r'"\ud800"'),
    (1.0, "1.0"),
    (-0.0, "-0.0"),
    (0.1, "0.1"),
    (1.5e300, "1.5e+300"),
    (1e15, "1000000000000000.0"),
    (1e16, "1.0e+16"),
    (-1e22, "-1.0e+22"),
    (1e-4, "0.0001"),
    (1e-5, "1.0e-05"),
    (1.25e-7, "1.25e-07"),
    (math.inf, "null"),
    ([-math.inf, math.nan, 1e22], "[null,null,1.0e+22]"),
    (2**80, "1208925819614629174706176"),
    (int("9" * 4_300), "9" * 4_300),
]


@pytest.mark.parametrize(("value", "written"), WRITTEN, ids=lambda value: repr(value)[:30])
def test_every_kind_of_value_has_the_original_s_bytes(value: Any, written: str) -> None:
    """Escapes in lower-case hexadecimal, floats with a fraction, what is no number as null."""
    assert json_text.encoded(value) == written.encode()


def test_text_that_looks_like_an_odd_number_is_left_alone() -> None:
    """Numbers are mended outside of strings only."""
    value = {"1e+22": "1e+22,2e-07", "Infinity": ["NaN", '"-Infinity', "\\"], "x": 1e22}
    assert json.loads(json_text.encoded(value)) == value
    assert b'"1e+22":"1e+22,2e-07"' in json_text.encoded(value)
    assert json_text.encoded(value).endswith(b'"x":1.0e+22}')


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["1e+5", "Infinity", "NaN", '\\"', "<", "\u2028"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON)
def test_whatever_is_written_reads_the_same(value: Any) -> None:
    """Nothing is lost, to the last digit of a float; nothing that ends a script element is in it."""
    written = json_text.encoded(value)
    found = json.loads(written)
    assert found == value
    assert repr(found) == repr(value)
    assert not {b"<", b">", b"&", "\u2028".encode()} & {
        written[i : i + n] for n in (1, 3) for i in range(len(written))
    }


@pytest.mark.parametrize(
    "size", [json_text.PIECE - 1, json_text.PIECE, json_text.PIECE + 1, 3 * json_text.PIECE + 7]
)
def test_a_long_text_is_escaped_like_a_short_one(size: int) -> None:
    """Whatever stands where a long text is divided, it comes out as if it had not been."""
    text = ("a<é>\u2028&😀\ud800b" * size)[:size]
    assert json_text.escape(text) == b"".join(json_text.escape(character) for character in text)

"""A row is a claim by the other side: whatever stands in it, reading it never fails and keeps little."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sources.salesforce.kinds import BY_PREFIX, LONGEST_CLAIM, VERSION, elsewhere

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=400),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(
    [
        *("Name", "ContentType", "BodyLength", "ParentId", "Url", "Title", "PathOnClient", "FileExtension"),
        *("FileType", "Checksum", "ContentLocation", "ContentDocumentId", "ContentSize", "ContentSizeLong"),
    ]
)


@pytest.mark.parametrize("prefix", BY_PREFIX)
@given(row=st.dictionaries(NAMES, ANYTHING))
def test_no_row_makes_reading_fail(prefix: str, row: dict[str, Any]) -> None:
    """What is kept is text of bounded length that UTF-8 can write, sizes that can be, and real digests."""
    elsewhere(row)
    record = BY_PREFIX[prefix].read(prefix + "000000000001AAA", row)
    for text in (record.name, record.content_type, record.parent_id):
        assert text is None or (0 < len(text) <= LONGEST_CLAIM and text.encode())
    assert record.size is None or (isinstance(record.size, int) and record.size >= 0)
    assert record.md5 is None or len(bytes.fromhex(record.md5)) == 16


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"FileType": "JPG"}, "image/jpeg"),
        ({"FileType": "PNG", "FileExtension": "jpg"}, "image/png"),
        ({"FileType": "UNKNOWN", "FileExtension": "webp"}, "image/webp"),
        ({"FileType": "WORD_X"}, "application/msword"),
        ({"FileType": "UNKNOWN"}, None),
        ({"FileExtension": "../../x"}, None),
        ({}, None),
    ],
)
def test_the_type_of_a_file_is_told_by_what_it_is_called(row: dict[str, str], told: str | None) -> None:
    """A file has no ContentType; its FileType, or its extension, makes one."""
    assert VERSION.read("068000000000001AAA", row).content_type == told


def test_the_long_size_is_asked_for_where_it_is() -> None:
    """ContentSizeLong came with API 66: an earlier version would refuse the whole call."""
    assert "ContentSizeLong" not in VERSION.fields("65.0").split(",")
    assert "ContentSizeLong" in VERSION.fields("66.0").split(",")
    assert VERSION.read("068000000000001AAA", {"ContentSize": 5, "ContentSizeLong": 2**33}).size == 2**33

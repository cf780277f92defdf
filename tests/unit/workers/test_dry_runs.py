"""What comes out of Redis is checked like what comes from a caller."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workers.dry_runs import Question, QuestionError, read

ORGANIZATION = "3f2c8f0e-8a51-4f0a-9a53-0d6f0c6a7f11"
RECORD, CASE = "00P4I00000zyw3eUAA", "5005800000HEXCtAAP"
OPTIONS = {"created_since": None, "max_bytes": None, "kinds": None, "include_emails": True}
GOOD_RECORD = {"organization_id": ORGANIZATION, "record_id": RECORD}
GOOD_ALBUM = {"organization_id": ORGANIZATION, "album_id": CASE, "options": OPTIONS}
HOSTILE = ({"$ne": None}, {"$gt": ""}, ["a"], 7, None, True, "", "../../x", "x" * 100_000)


def test_the_questions_of_the_door_are_read() -> None:
    """Both kinds come through as they were asked."""
    assert read(json.dumps(GOOD_RECORD)) == Question(organization_id=ORGANIZATION, record_id=RECORD)
    album = read(json.dumps(GOOD_ALBUM))
    assert (album.album_id, album.options) == (CASE, OPTIONS)


@pytest.mark.parametrize("hostile", HOSTILE, ids=repr)
@pytest.mark.parametrize(
    ("question", "field"),
    [(GOOD_RECORD, "organization_id"), (GOOD_RECORD, "record_id"), (GOOD_ALBUM, "album_id")],
)
def test_no_operator_reaches_a_query(question: dict[str, Any], field: str, hostile: Any) -> None:
    """A field that is no id of its kind makes the question none."""
    with pytest.raises(QuestionError):
        read(json.dumps({**question, field: hostile}))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {**OPTIONS, "max_bytes": {"$gt": 0}},
        {**OPTIONS, "kinds": [{"$ne": None}]},
        {**OPTIONS, "include_emails": {"$ne": None}},
        {**OPTIONS, "created_since": {"$ne": None}},
        {**OPTIONS, "more": 1},
        [],
        "text",
    ],
)
def test_options_have_their_types(options: Any) -> None:
    """An option that is missing, new or of another type makes the question none."""
    with pytest.raises(QuestionError):
        read(json.dumps({**GOOD_ALBUM, "options": options}))


@pytest.mark.parametrize("text", ["", "null", "[]", "7", "{}", "[" * 100_000, '"text"'])
def test_what_is_no_object_is_no_question(text: str) -> None:
    """Whatever stands in Redis, reading it raises QuestionError and nothing else."""
    with pytest.raises(QuestionError):
        read(text)

"""What an import names as its source is judged by rule, the import type first, and never by a guess."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.sources import (
    IMPORT_TYPES,
    SENTENCES,
    Judged,
    SourceIdError,
    case_id,
    check_letters,
    judge,
    salesforce_id,
)

KNOWN = "00P4I00000zyw3eUAA"
LETTERS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=12)


def test_the_contracts_examples_check() -> None:
    """The two ids of the contract carry the letters that the rule gives."""
    assert check_letters("00P4I00000zyw3e") == "UAA"
    assert check_letters("5005800000HEXCt") == "AAP"


@pytest.mark.parametrize("text", [KNOWN, KNOWN[:15]])
def test_both_forms_become_the_long_one(text: str) -> None:
    """Fifteen or eighteen characters name one record, kept in one form."""
    assert judge(import_type="salesforce", attachment_id=text) == Judged("salesforce", KNOWN)


@given(LETTERS)
def test_any_fifteen_characters_gain_letters_that_check(rest: str) -> None:
    """The canonical form of an id is its own canonical form, and any other check letter is refused."""
    canonical = salesforce_id("00P" + rest)
    assert salesforce_id(canonical) == canonical
    assert canonical[:15] == "00P" + rest
    other = canonical[:17] + ("B" if canonical[17] == "A" else "A")
    with pytest.raises(SourceIdError):
        salesforce_id(other)


@given(st.text(max_size=30))
def test_no_text_gets_past_unless_it_is_an_id(text: str) -> None:
    """Whatever is sent, what comes out is eighteen ASCII letters and digits or a code with its sentence."""
    judged = judge(import_type="", attachment_id=text)
    if judged.record_id is None:
        assert judged.detail == SENTENCES[judged.code or ""]
    else:
        assert len(judged.record_id) == 18
        assert judged.record_id.isascii()
        assert judged.record_id.isalnum()


@pytest.mark.parametrize("absent", [None, "", 7, ["00P"], {"a": "b"}, True])
def test_what_is_no_text_counts_as_absent(absent: Any) -> None:
    """Without an import type Salesforce is meant; without an attachment there is nothing to import."""
    assert judge(import_type=absent, attachment_id=KNOWN) == Judged("salesforce", KNOWN)
    judged = judge(import_type="salesforce", attachment_id=absent)
    assert (judged.source_type, judged.record_id, judged.code) == ("salesforce", None, "attachment_missing")


@pytest.mark.parametrize("import_type", ["dropbox", "Salesforce", " salesforce", "\0"])
@pytest.mark.parametrize("attachment_id", [KNOWN, "nonsense", None])
def test_an_unknown_type_is_judged_first(import_type: str, attachment_id: Any) -> None:
    """Nobody can say what an id of an unknown source should look like."""
    judged = judge(import_type=import_type, attachment_id=attachment_id)
    assert (judged.source_type, judged.record_id, judged.code) == (None, None, "import_type_unknown")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("00P4I00000zyw3eUAB", "attachment_id_invalid"),  # a wrong check letter
        ("00P4I00000zyw3euaa", "attachment_id_invalid"),  # letter case is part of an id
        ("00p4i00000zyw3eUAA", "attachment_id_invalid"),
        ("00P4I00000zyw3", "attachment_id_invalid"),
        ("00P4I00000zyw3eUA", "attachment_id_invalid"),
        (" 00P4I00000zyw3e", "attachment_id_invalid"),
        ("00P4I00000zyw3é", "attachment_id_invalid"),
        ("00P4I00000zyw3\n", "attachment_id_invalid"),
        ("\u06600P4I00000zyw3e", "attachment_id_invalid"),  # a digit, though not an ASCII one
        ("../Case/5005800", "attachment_id_invalid"),
        ("https://evil.ex", "attachment_id_invalid"),
        ("5005800000HEXCtAAP", "attachment_id_invalid"),  # a Case holds no file
    ],
)
def test_what_cannot_be_the_id_of_a_file_is_refused(text: str, code: str) -> None:
    """A wrong letter, a wrong length, another kind of record: each is a mistake of the sender."""
    assert judge(import_type="salesforce", attachment_id=text).code == code


@pytest.mark.parametrize("prefix", ["00P", "068", "069", "015"])
def test_every_kind_of_file_is_taken(prefix: str) -> None:
    """Attachments, files, their versions and documents are judged alike, in both forms of their ids."""
    short = prefix + "4I00000zyw3e"
    canonical = short + check_letters(short)
    for text in (short, canonical):
        assert judge(import_type="salesforce", attachment_id=text) == Judged("salesforce", canonical)


@pytest.mark.parametrize("text", ["5005800000HEXCt", "5005800000HEXCtAAP"])
def test_a_case_is_told_from_files(text: str) -> None:
    """A group is asked for by the id of a Case, and by no other."""
    assert case_id(text) == "5005800000HEXCtAAP"
    for other in (KNOWN, "5005800000HEXCtAAQ", "../x", ""):
        with pytest.raises(SourceIdError) as caught:
            case_id(other)
        assert caught.value.code == "album_id_invalid"


def test_every_import_type_reads_ids() -> None:
    """The table holds readers that raise the one error that `judge` turns into a code."""
    for read in IMPORT_TYPES.values():
        with pytest.raises(SourceIdError) as caught:
            read("x")
        assert caught.value.code in SENTENCES

"""Judge what an import names as its source, before anything is asked of anybody. Pure: text in, verdict out.

The door judges when it records an import, and the worker judges again before it fetches: the client
library would take a URL for an id and send it the bearer token, so nothing but a checked id may reach it.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass

DEFAULT_IMPORT_TYPE = "salesforce"

CHECK_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_CAPITALS = str.maketrans(
    {letter: str(int(letter.isupper())) for letter in string.ascii_letters + string.digits}
)

KINDS = {"00P": "Attachment", "068": "ContentVersion", "069": "ContentDocument", "015": "Document"}
"""Kinds of record that hold a file, by the three characters with which their ids begin."""

PREFIXES = {**KINDS, "500": "Case", "02s": "EmailMessage"}
"""Every kind of record whose ids are judged here."""

SENTENCES = {
    "import_type_unknown": "Set import_type to salesforce, or leave it out: no other source is known here.",
    "attachment_missing": "Send attachment_id: the Salesforce id of the attachment to import.",
    "attachment_id_invalid": (
        "Send a Salesforce id of 15 or 18 letters and digits that names a file: an Attachment (it begins with"
        " 00P), a file (069) or its version (068), or a Document (015); with its letter case and check letters"
        " as Salesforce shows them."
    ),
    "album_id_invalid": (
        "Send album_id: the Salesforce id of a Case (it begins with 500), 15 or 18 letters and digits with"
        " its letter case and check letters as Salesforce shows them."
    ),
}
"""What to do about each code, in one sentence."""


class SourceIdError(ValueError):
    """A text is not the id of a record that can be fetched. `code` is one of SENTENCES."""

    def __init__(self, code: str) -> None:
        self.code, self.detail = code, SENTENCES[code]
        super().__init__(self.detail)


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the two parameters: source and record, or the code and sentence of a refusal."""

    source_type: str | None = None
    record_id: str | None = None
    code: str | None = None
    detail: str | None = None


def salesforce_id(text: str) -> str:
    """Return the canonical id, 18 characters with the right check letters, of a record that can be fetched.

    Raises SourceIdError.
    """
    return canonical_id(text, kinds=tuple(KINDS.values()))


def case_id(text: str) -> str:
    """Return the canonical id of a Case, whose pictures are imported as a group. Raises SourceIdError."""
    try:
        return canonical_id(text, kinds=("Case",))
    except SourceIdError:
        raise SourceIdError("album_id_invalid") from None


def canonical_id(text: str, *, kinds: tuple[str, ...]) -> str:
    """Return the canonical id of a record of one of some kinds. Raises SourceIdError.

    Letter case counts in both forms: 15 characters differ by it, and 18 prove it.
    """
    if len(text) not in (15, 18) or not (text.isascii() and text.isalnum()):
        raise SourceIdError("attachment_id_invalid")
    canonical = text[:15] + check_letters(text[:15])
    if not canonical.startswith(text) or PREFIXES.get(text[:3]) not in kinds:
        raise SourceIdError("attachment_id_invalid")
    return canonical


def check_letters(fifteen: str) -> str:
    """Return the three check letters of 15 characters: a bit per capital, five characters a letter."""
    capitals = fifteen.translate(_CAPITALS)
    # The first character is the lowest bit, so each five are read backwards as a number of base two.
    return "".join(CHECK_LETTERS[int(capitals[start : start + 5][::-1], 2)] for start in (0, 5, 10))


IMPORT_TYPES: dict[str, Callable[[str], str]] = {"salesforce": salesforce_id}
"""How each source reads the id of a record: the canonical id, or SourceIdError."""


@dataclass(frozen=True, slots=True)
class Albums:
    """What a source knows as an album: how its id is read, and which kinds of record hang on one.

    `kinds` maps what a request may call a kind, in lower case, to the kind's name in a listing.
    """

    read: Callable[[str], str]
    kinds: Mapping[str, str]


ALBUM_TYPES: dict[str, Albums] = {
    "salesforce": Albums(
        case_id,
        {
            "attachment": "Attachment",
            "contentversion": "ContentVersion",
            "contentdocument": "ContentVersion",
            "file": "ContentVersion",
        },
    )
}
"""The sources whose albums can be imported as a group."""


def judge(*, import_type: object, attachment_id: object) -> Judged:
    """Judge the two parameters as sent, of whatever type; what is not text, or is empty, counts as absent.

    The import type is judged first: without it nobody can say what an id should look like.
    """
    source_type = import_type if isinstance(import_type, str) and import_type else DEFAULT_IMPORT_TYPE
    read = IMPORT_TYPES.get(source_type)
    if read is None:
        return _refused("import_type_unknown")
    if not isinstance(attachment_id, str) or not attachment_id:
        return _refused("attachment_missing", source_type)
    try:
        return Judged(source_type, read(attachment_id))
    except SourceIdError as error:
        return _refused(error.code, source_type)


def _refused(code: str, source_type: str | None = None) -> Judged:
    return Judged(source_type, None, code, SENTENCES[code])

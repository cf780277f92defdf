"""Write JSON as existing clients have always been given it: compact, and escaped as Rails escapes.

Strings are raw UTF-8 except `<` `>` `&` U+2028 U+2029, which Rails writes as escapes so that an answer can
stand inside a script element. Floats have the shortest digits that read back the same, always with a
fraction (`1.0`, `-0.0`, `1.0e+22`); what JSON cannot hold (infinities, NaN) is null. Python's own writer has
the same digits but writes `1e+22` and `Infinity`, so the numbers are mended after it: far cheaper than a
writer of our own, and almost no text needs it.

Writing and escaping are two steps, because an echo of parameters is kept as text for years and escaped only
when it is shown: kept escaped, a hostile body would grow sixfold in the store.
"""

from __future__ import annotations

import json
import re
from typing import Any

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_ODD_NUMBER = re.compile(r"(?<![\d.])(\d)(e[+-]\d+)|-?Infinity|NaN")
PIECE = 32 * 1024  # characters that are escaped at a time
_SIGNS_OF_ODD_NUMBERS = ("e+", "e-", "Infinity", "NaN")
_ESCAPES = (
    ("<", "\\u003c"),
    (">", "\\u003e"),
    ("&", "\\u0026"),
    ("\u2028", "\\u2028"),
    ("\u2029", "\\u2029"),
)


def write(value: Any) -> str:
    """Return `value` (dict with text keys, list, text, number, bool, None) as compact JSON, not yet escaped."""
    text = _ENCODER.encode(value)
    if any(sign in text for sign in _SIGNS_OF_ODD_NUMBERS) and _has_odd_number(value):
        return _with_plain_numbers(text)
    return text


def escape(text: str) -> bytes:
    """Return JSON text as the bytes of an answer. Never raises: a lone surrogate becomes its JSON escape."""
    if len(text) > PIECE:
        # One call of `replace` keeps the interpreter to itself; for megabytes of `<` that is long for all others.
        return b"".join(escape(text[start : start + PIECE]) for start in range(0, len(text), PIECE))
    for character, written in _ESCAPES:  # all five can stand in strings only, so whole texts may be searched
        text = text.replace(character, written)
    # Python writes the replacement of a surrogate exactly as JSON spells its escape: \ud800.
    return text.encode("utf-8", "backslashreplace")


def escaped_size(text: str) -> int:
    """Return how many bytes `escape` makes of a text at most, without making them."""
    return len(text.encode("utf-8", "backslashreplace")) + 5 * sum(
        text.count(character) for character, _ in _ESCAPES
    )


def encoded(value: Any) -> bytes:
    """Return `value` as the bytes of an answer."""
    return escape(write(value))


def _has_odd_number(value: Any) -> bool:
    """Tell whether a float in it is written as JSON or Rails would not; most signs of one stand in strings."""
    waiting: list[Any] = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, (list, tuple)):
            waiting += part
        elif isinstance(part, float) and any(sign in repr(part) for sign in ("e", "n")):
            return True
    return False


def _with_plain_numbers(text: str) -> str:
    """Mend what stands outside strings: every other piece between quotes, once escaped quotes are out of the way.

    Controls stand for the escapes meanwhile, since the writer leaves none in its text. An expression that reads
    strings as well would take a fifth of a second for a megabyte of backslashes.
    """
    pieces = text.replace("\\\\", "\0").replace('\\"', "\1").split('"')
    pieces[::2] = [_ODD_NUMBER.sub(_mended, piece) for piece in pieces[::2]]
    return '"'.join(pieces).replace("\1", '\\"').replace("\0", "\\\\")


def _mended(match: re.Match[str]) -> str:
    return f"{match[1]}.0{match[2]}" if match[1] else "null"

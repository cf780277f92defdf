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
_STRING_OR_ODD_NUMBER = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.])(\d)(e[+-]\d+)|-?Infinity|NaN', re.DOTALL
)
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
    if any(sign in text for sign in _SIGNS_OF_ODD_NUMBERS):
        return _STRING_OR_ODD_NUMBER.sub(_mended, text)
    return text


def escape(text: str) -> bytes:
    """Return JSON text as the bytes of an answer. Never raises: a lone surrogate becomes its JSON escape."""
    for character, written in _ESCAPES:  # all five can stand in strings only, so whole texts may be searched
        text = text.replace(character, written)
    # Python writes the replacement of a surrogate exactly as JSON spells its escape: \ud800.
    return text.encode("utf-8", "backslashreplace")


def encoded(value: Any) -> bytes:
    """Return `value` as the bytes of an answer."""
    return escape(write(value))


def _mended(match: re.Match[str]) -> str:
    if match[1]:
        return f"{match[1]}.0{match[2]}"
    return match[0] if match[0].startswith('"') else "null"

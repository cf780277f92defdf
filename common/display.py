"""Make text from outside fit to be shown to a person: nothing in it hides, turns the line around, or has no end.

A file may be called `invoice\\u202egpj.exe`, which a browser and a terminal show as `invoiceexe.jpg`. Such characters
are not shown but marked, each by one replacement character, so that a person sees that something is there.
"""

from __future__ import annotations

import unicodedata

SHOWN_CHARACTERS = 200  # of a text that callers sent, where it is one of many on a page or in a list
MARK = "�"
CUT = "…"

# Controls of C0 and C1, of direction and of width (Cf), halves of characters, separators of lines, private characters.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
# Letters and signs that are drawn as nothing.
_EMPTY = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")


def marked(text: str) -> str:
    """Return a text in which every character that would not be seen, or acts on others, is marked; `\\n` and `\\t` stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(MARK if _is_hidden(one) else one for one in text)


def in_brief(text: str, characters: int = SHOWN_CHARACTERS) -> str:
    """Return the beginning of a text on one line, marked, with a sign where it was cut."""
    whole = marked(text[:characters]).replace("\n", MARK).replace("\t", MARK)
    return whole if len(text) <= characters else whole + CUT


def _is_hidden(one: str) -> bool:
    return one not in "\n\t" and (one in _EMPTY or unicodedata.category(one) in _HIDDEN)

"""Make record ids that look and check like Salesforce's and stay the same over restarts."""

from __future__ import annotations

import hashlib
import string

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
CHECK_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def checked(fifteen: str) -> str:
    """Add the three check letters: one bit per capital, five characters a letter."""
    groups = (fifteen[start : start + 5] for start in (0, 5, 10))
    return fifteen + "".join(
        CHECK_LETTERS[sum(1 << bit for bit, letter in enumerate(group) if "A" <= letter <= "Z")]
        for group in groups
    )


def made_id(prefix: str, seed: str) -> str:
    """Derive an 18-character id from a text: the same text gives the same id on every machine."""
    number = int.from_bytes(hashlib.sha256(seed.encode("utf-8", "surrogateescape")).digest(), "big")
    letters = ""
    for _ in range(15 - len(prefix)):
        number, index = divmod(number, len(ALPHABET))
        letters += ALPHABET[index]
    return checked(prefix + letters)


def canonical(text: str) -> str | None:
    """Return the 18-character form, or None for a text that cannot be an id.

    The 18-character form forgives letter case, as the real service does: the check letters say which
    characters were capitals.
    """
    if len(text) not in (15, 18) or not (text.isascii() and text.isalnum()):
        return None
    if len(text) == 15:
        return checked(text)
    capitals = [CHECK_LETTERS.find(letter) for letter in text[15:].upper()]
    if -1 in capitals:
        return None
    fifteen = "".join(
        letter.upper() if capitals[place // 5] >> place % 5 & 1 else letter.lower()
        for place, letter in enumerate(text[:15])
    )
    return checked(fifteen) if checked(fifteen) == fifteen + text[15:].upper() else None

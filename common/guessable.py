"""Tell secrets that somebody would guess: too few characters, a pattern, words that everybody tries first."""

from __future__ import annotations

import re

_FEWEST_CHARACTERS = 8  # different ones, of a text as long as a token's secret
_FEWEST_LEFT = 8  # letters and digits, once all that is known is taken out

# Words of default, sample and joke secrets; written with digits in the place of letters they are the same words.
_WORDS = [
    "administrator",
    "admin",
    "default",
    "dashboard",
    "operator",
    "password",
    "passwort",
    "passwd",
    "passphrase",
    "secret",
    "changeme",
    "change",
    "replace",
    "example",
    "sample",
    "test",
    "testing",
    "token",
    "jwt",
    "key",
    "import",
    "api",
    "welcome",
    "letmein",
    "login",
    "user",
    "root",
    "master",
    "monkey",
    "dragon",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "shadow",
    "qwertyuiop",
    "qwerty",
    "qwertz",
    "azerty",
    "asdfgh",
    "zxcvbn",
    "1qaz2wsx",
    "super",
    "insecure",
    "unsafe",
    "production",
    "development",
    "local",
    "foo",
    "bar",
    "baz",
    "hello",
    "world",
    "abc",
    "xyz",
    "your",
    "mine",
    "please",
    "must",
    "should",
    "least",
    "long",
    "very",
    "strong",
    "random",
    "character",
    "byte",
    "bit",
    "with",
    "from",
    "that",
    "this",
    "the",
    "and",
    "not",
    "for",
]
_KNOWN = re.compile("|".join(sorted(_WORDS, key=len, reverse=True)))
_AS_LETTERS = str.maketrans("04135$@!", "oaiessai")
_NO_WORD_CHARACTERS = re.compile(r"[\W_]+")


def why_guessable(text: str) -> str | None:
    """Return what makes a secret easy to guess, completing «it …»; None where nothing does."""
    if len(set(text)) < min(_FEWEST_CHARACTERS, len(text) // 2):
        return "has too few different characters"
    if (text + text).find(text, 1) < len(text):
        return "repeats itself"
    left = min(_left_of(text.lower()), _left_of(text.lower().translate(_AS_LETTERS)))
    if left < min(_FEWEST_LEFT, len(text) // 2):
        return "is made of well-known words and rows of characters"
    return None


def _left_of(text: str) -> int:
    """Count the letters and digits that no known word and no row like `1234` accounts for."""
    rest = _NO_WORD_CHARACTERS.sub("", _KNOWN.sub(" ", text))
    return sum(abs(ord(one) - ord(before)) > 1 for before, one in zip(" " + rest, rest, strict=False))

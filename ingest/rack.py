"""Read forms and queries by the grammar of Rack 2, which existing clients were written against.

    a=1      text          a[b]=1     a hash              a[][x]=1   an array of hashes
    a        null          a[]=1      appends             a=1&a=2    the last value, in the first place

Odd brackets never fail, they mean something odd: `assign` follows the original step by step, since any
simpler rule would read some of them differently. Only a name used in two ways, a broken escape, text that
is not UTF-8, and the two limits are refused (400). The limits keep the cost of a hostile body near its size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from ingest.errors import BadRequestError

LEVELS = 100
KEY_CHARACTERS = 65_536  # of all keys of one hash

_BODY_SEPARATOR = re.compile(rb"& *")
_QUERY_SEPARATOR = re.compile(rb"[&;] *")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_FIRST_KEY = re.compile(r"[\[\]]*([^\[\]]+)\]*")
# Lines matter: in the original these two look at any line of a key, and keys may hold line breaks.
_ELEMENT_KEY = re.compile(r"^\[\]\[([^\[\]]+)\]$", re.MULTILINE)
_ELEMENT_REST = re.compile(r"^\[\](.+)$", re.MULTILINE)
_BRACKETS = re.compile(r"[\[\]]+")


class Level(dict[str, Any]):
    """One hash being built, which knows how many characters its keys have."""

    __slots__ = ("characters",)

    def __init__(self) -> None:
        super().__init__()
        self.characters = 0

    def put(self, key: str, value: Any) -> None:
        """Set a key: a new one goes last, a known one keeps its place."""
        if key not in self:
            self.characters += len(key)
            if self.characters > KEY_CHARACTERS:
                raise BadRequestError(
                    "parameters_too_wide",
                    f"The names on one level have more than {KEY_CHARACTERS} characters.",
                )
        self[key] = value


def form(body: bytes) -> dict[str, Any]:
    """Read an `application/x-www-form-urlencoded` body. Raises BadRequestError (`form_malformed`, …)."""
    # An old Safari appended a NUL to what it posted, and the original forgave it.
    return _parsed(_BODY_SEPARATOR.split(body.removesuffix(b"\0")), "form_malformed")


def query(query: bytes) -> dict[str, Any]:
    """Read a query string, where `;` separates as well. Raises BadRequestError (`query_malformed`, …)."""
    return _parsed(_QUERY_SEPARATOR.split(query), "query_malformed")


def fields(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Read names and values that need no decoding, as a multipart form has them."""
    params = Level()
    for name, value in pairs:
        assign(params, name, value)
    return params


def assign(params: Level, name: str, value: str | None, levels: int = LEVELS) -> Any:
    """Put `value` where the bracketed `name` says. Returns `params`, or what the original puts in its place.

    A name without a key changes nothing; the caller then stores what is returned instead of a hash: None, or
    a list of the value for `[]`. That is how `x[[]]=1` makes `x` null and `a[][]=1` an array in an array.
    """
    if levels <= 0:
        raise BadRequestError("parameters_too_deep", f"The names go down more than {LEVELS} levels.")
    match = _FIRST_KEY.match(name)
    if match is None:
        return [value] if name == "[]" and value is not None else None
    key, after = match[1], name[match.end() :]
    if after == "":
        params.put(key, value)
    elif after == "[":
        params.put(name, value)
    elif after == "[]":
        _array(params, key).append(value)
    elif rest := _ELEMENT_KEY.search(after) or _ELEMENT_REST.search(after):
        array, child = _array(params, key), rest[1]
        if array and isinstance(array[-1], Level) and not _has(array[-1], child):
            assign(array[-1], child, value, levels - 1)
        else:
            array.append(assign(Level(), child, value, levels - 1))
    else:
        if params.get(key) is None:
            params.put(key, Level())
        if not isinstance(params[key], Level):
            raise _conflict()
        params.put(key, assign(params[key], after, value, levels - 1))
    return params


def _parsed(pieces: Iterable[bytes], code: str) -> dict[str, Any]:
    params = Level()
    for piece in pieces:
        name, equals, value = piece.partition(b"=")
        if name:  # an empty piece, or a value without a name
            assign(params, _text(name, code), _text(value, code) if equals else None)
        elif equals:
            _text(value, code)  # dropped, but a broken one is refused all the same
    return params


def _text(raw: bytes, code: str) -> str:
    if _BROKEN_ESCAPE.search(raw):
        raise BadRequestError(code, "A percent sign is not followed by two hexadecimal digits.")
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise BadRequestError(code, "A name or a value is not UTF-8.") from None


def _array(params: Level, key: str) -> list[Any]:
    """Return the array under `key`, made where there is none or null."""
    if params.get(key) is None:
        params.put(key, [])
    array = params[key]
    if not isinstance(array, list):
        raise _conflict()
    return array


def _has(element: Level, name: str) -> bool:
    """Tell whether the element has a value under a bracketed name already, so that a new one must begin."""
    if "[]" in name:
        return False
    at: Any = element
    for part in _BRACKETS.split(name):
        if not part:
            continue
        if not isinstance(at, Level) or part not in at:
            return False
        at = at[part]
    return True


def _conflict() -> BadRequestError:
    return BadRequestError("parameters_conflict", "A name is used for a text, a hash or an array at once.")

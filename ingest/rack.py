"""Read forms and queries by the grammar of Rack 2, which existing clients were written against.

    a=1      text          a[b]=1     a hash              a[][x]=1   an array of hashes
    a        null          a[]=1      appends             a=1&a=2    the last value, in the first place

Odd brackets never fail, they mean something odd: `assign` follows the original step by step, since any
simpler rule would read some of them differently. Only a name used in two ways, a broken escape, text that
is not UTF-8, and the limits are refused (400). The limits keep the cost of a hostile body near its size: a
legal one is read within some milliseconds, or a few senders would keep everybody else waiting.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from typing import Any

from ingest.errors import BadRequestError

LEVELS = 100
KEY_CHARACTERS = 65_536  # of all keys of one hash
PAIRS = 2_048  # of one form or query, empty ones included
ALL_LEVELS = 4_096  # of all names of one form or query together: 40 pairs may have a hundred each

_BODY_SEPARATOR = re.compile(rb"& *")
_QUERY_SEPARATOR = re.compile(rb"[&;] *")
# Names as nearly everybody sends them, and the rest of one behind `a[]`: each pair of brackets holds a key.
_PLAIN_NAME = re.compile(r"(?:[^\[\]]++|\[[^\[\]]++\])(?:\[[^\[\]]++\])*+")
_FIRST_KEY = re.compile(r"[\[\]]*+([^\[\]]++)\]*+")
_ELEMENT_KEY = re.compile(r"\[\]\[([^\[\]]+)\]")
# Lines matter: in the original these two look at any line of a key, and keys may hold line breaks.
_ELEMENT_KEY_OF_A_LINE = re.compile(r"^\[\]\[([^\[\]]+)\]$", re.MULTILINE)
_ELEMENT_REST_OF_A_LINE = re.compile(r"^\[\](.+)$", re.MULTILINE)
_CHARACTERS_A_LEVEL = 64  # looking through so many for a line costs as much as one level
_BRACKETS = re.compile(r"[\[\]]+")


def form(body: bytes) -> dict[str, Any]:
    """Read an `application/x-www-form-urlencoded` body. Raises BadRequestError (`form_malformed`, …)."""
    if body.count(b"&") >= PAIRS:
        raise _too_many_pairs()
    # An old Safari appended a NUL to what it posted, and the original forgave it.
    return _parsed(_BODY_SEPARATOR.split(body.removesuffix(b"\0")), "form_malformed")


def query(query: bytes) -> dict[str, Any]:
    """Read a query string, where `;` separates as well. Raises BadRequestError (`query_malformed`, …)."""
    if query.count(b"&") + query.count(b";") >= PAIRS:
        raise _too_many_pairs()
    return _parsed(_QUERY_SEPARATOR.split(query), "query_malformed")


def fields(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Read names and values that need no decoding, as a multipart form has them."""
    reading = Reading()
    for name, value in pairs:
        reading.assign(name, value)
    return reading.end()


class Reading:
    """The parameters read so far, and how many levels further names may go down."""

    def __init__(self) -> None:
        self._params: dict[str, Any] = {}
        self._levels = ALL_LEVELS
        self._characters = 0  # of all names

    def assign(self, name: str, value: str | None) -> None:
        """Put `value` where the bracketed `name` says.

        Where a name ends without a key, the hash made for it is replaced by null, or by an array of the value
        for `[]`: that is how `x[[]]=1` makes `x` null and `a[][]=1` an array in an array.
        """
        self._characters += len(name)
        if "[" not in name and "]" not in name:
            self._params[name] = value
            return
        level, at = self._params, 0
        within: Any = None  # the hash or the array that `level` is in, under `place`
        place: Any = None
        lines = "\n" in name
        for depth in range(LEVELS):
            if at == 0 and _PLAIN_NAME.fullmatch(name):
                self._assign_plain(level, name, value, LEVELS - depth)
                return
            self._spend(1)
            match = _FIRST_KEY.match(name, at)
            if match is None:
                if within is not None:
                    within[place] = [value] if name[at:] == "[]" and value is not None else None
                return
            key, end = match[1], match.end()
            left = len(name) - end
            if left == 0:
                level[key] = value
                return
            if left == 1 and name.endswith("["):
                level[name[at:]] = value
                return
            if left == 2 and name.endswith("[]"):
                _array(level, key).append(value)
                return
            child = self._element_of_a_line(name[end:]) if lines else _element(name, end)
            if child is None:
                within, place, at = level, key, end
                level = _hash(level, key)
                continue
            array = _array(level, key)
            if array and isinstance(array[-1], dict) and not self._has(array[-1], child):
                within = None
            else:
                array.append({})
                within, place = array, len(array) - 1
            level, name, at, lines = array[-1], child, 0, False  # an element's name is of one line
        raise _too_deep()

    def end(self) -> dict[str, Any]:
        """Return the parameters. Raises BadRequestError (`parameters_too_wide`)."""
        if self._characters > KEY_CHARACTERS:
            _check_width(self._params)
        return self._params

    def _assign_plain(self, level: dict[str, Any], name: str, value: str | None, levels: int) -> None:
        *above, last = name.replace("]", "").removeprefix("[").split("[")
        if len(above) >= levels:
            raise _too_deep()
        self._spend(len(above) + 1)
        for key in above:
            level = _hash(level, key)
        level[last] = value

    def _spend(self, levels: int) -> None:
        self._levels -= levels
        if self._levels < 0:
            raise BadRequestError(
                "parameters_too_many",
                f"All names together go down more than {ALL_LEVELS} levels: send fewer, or less nested ones.",
            )

    def _element_of_a_line(self, after: str) -> str | None:
        self._spend(len(after) // _CHARACTERS_A_LEVEL)
        rest = _ELEMENT_KEY_OF_A_LINE.search(after) or _ELEMENT_REST_OF_A_LINE.search(after)
        return rest[1] if rest else None

    def _has(self, element: dict[str, Any], name: str) -> bool:
        """Tell whether the element has a value under a bracketed name already, so that a new one must begin."""
        if "[]" in name:
            return False
        at: Any = element
        parts = _BRACKETS.split(name)
        self._spend(len(parts) // 2)
        for part in parts:
            if not part:
                continue
            if not isinstance(at, dict) or part not in at:
                return False
            at = at[part]
        return True


def _element(name: str, end: int) -> str | None:
    """Return what an array's element is named by after `end`, or None where no `[]` follows there."""
    if not name.startswith("[]", end):
        return None
    key = _ELEMENT_KEY.fullmatch(name, end)
    return key[1] if key else name[end + 2 :]


def _parsed(pieces: Iterable[bytes], code: str) -> dict[str, Any]:
    reading = Reading()
    for piece in pieces:
        name, equals, value = piece.partition(b"=")
        if name:  # an empty piece, or a value without a name
            reading.assign(_text(name, code), _text(value, code) if equals else None)
        elif equals:
            _text(value, code)  # dropped, but a broken one is refused all the same
    return reading.end()


def _text(raw: bytes, code: str) -> str:
    raw = raw.replace(b"+", b" ")
    if signs := raw.count(b"%"):
        raw = _unescaped(raw, signs, code)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequestError(code, "A name or a value is not UTF-8.") from None


def _unescaped(raw: bytes, signs: int, code: str) -> bytes:
    """Read the escapes by the reader of quoted-printable, which has the same ones under another sign.

    It is in C: a megabyte of escapes takes four milliseconds in place of ninety. A broken one it passes over, and
    the text is then longer than it should be. A line break behind the sign means something to it, and is broken here.
    """
    text = binascii.a2b_qp(raw.replace(b"=", b"=3D").replace(b"%", b"="))
    if len(text) != len(raw) - 2 * signs or b"%\n" in raw or b"%\r" in raw:
        raise BadRequestError(code, "A percent sign is not followed by two hexadecimal digits.")
    return text


def _hash(level: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the hash under `key`, made where there is none or null."""
    found = level.get(key)
    if found is None:
        level[key] = found = {}
    elif not isinstance(found, dict):
        raise _conflict()
    return found


def _array(level: dict[str, Any], key: str) -> list[Any]:
    """Return the array under `key`, made where there is none or null."""
    found = level.get(key)
    if found is None:
        level[key] = found = []
    elif not isinstance(found, list):
        raise _conflict()
    return found


def _check_width(params: dict[str, Any]) -> None:
    """Refuse a hash whose keys have too many characters."""
    waiting: list[Any] = [params]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if sum(map(len, value)) > KEY_CHARACTERS:
                detail = f"The names on one level have more than {KEY_CHARACTERS} characters."
                raise BadRequestError("parameters_too_wide", detail)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _conflict() -> BadRequestError:
    return BadRequestError("parameters_conflict", "A name is used for a text, a hash or an array at once.")


def _too_deep() -> BadRequestError:
    return BadRequestError("parameters_too_deep", f"The names go down more than {LEVELS} levels.")


def _too_many_pairs() -> BadRequestError:
    return BadRequestError("parameters_too_many", f"Send at most {PAIRS} parameters.")

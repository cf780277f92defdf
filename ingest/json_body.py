"""Read a JSON body strictly, with every type kept.

Python's reader takes NaN and lone surrogates, and fails in ways of its own on deep nesting and on integers
past 4,300 digits: all of that is a client's mistake here (400). Of doubled keys the last value counts, in the
place of the first; a float too large for a double is infinite, and echoed as null.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, NoReturn

from ingest.errors import BadRequestError

LEVELS = 100
DIGITS = 4_300  # Python's own limit for one integer, stated so that no setting of the interpreter raises it
VALUES = 8_192  # of one document; each costs more than its bytes, and a megabyte can hold half a million
_OPENINGS_TOO_DEEP = re.compile(rb"(?:\s*+(?:\[|\{\s*+:)){%d}" % (LEVELS + 1))  # of JSON without its strings
LONG = 100  # digits; reading and writing a longer integer costs the square of them
ALL_LONG_DIGITS = 43_000  # of all longer integers of one document


def parsed(body: bytes) -> dict[str, Any]:
    """Return a JSON document; one that is no object stands under `_json`. An empty body is `{}`.

    Raises BadRequestError (`json_malformed`, `parameters_too_deep`, `parameters_too_many`).
    """
    if not body:
        return {}
    if body.startswith(codecs.BOM_UTF8):
        raise BadRequestError("json_malformed", "The body begins with a byte order mark.")
    if _most_values(body) > VALUES:
        _check_size(body)
    try:
        document = json.loads(body.decode(), parse_constant=_constant, parse_int=_Integers())
    except UnicodeDecodeError:
        raise BadRequestError("json_malformed", "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BadRequestError("json_malformed", f"The body is not JSON at character {error.pos}.") from None
    except ValueError:  # an interpreter told to read even shorter integers
        raise _too_long() from None
    except RecursionError:
        raise _too_deep() from None
    _check(document, LEVELS)
    return document if isinstance(document, dict) else {"_json": document}


def _check_size(body: bytes) -> None:
    """Refuse too many values, before any is made. Signs in strings do not count."""
    without_escapes = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = without_escapes.split(b'"', 4 * VALUES)[::2]  # each value may be a text, and have a name
    bare = b"".join(outside)
    if len(outside) > 2 * VALUES or _most_values(bare) > VALUES:
        if _OPENINGS_TOO_DEEP.match(bare):
            raise _too_deep()
        raise BadRequestError("parameters_too_many", f"Send at most {VALUES} values.")


def _most_values(text: bytes) -> int:
    """Return how many values JSON text holds at most: one, and another behind each of these signs."""
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")


def _check(value: Any, levels: int) -> None:
    """Refuse what is nested too deep, and text that no UTF-8 can hold. Goes no deeper than the limit itself."""
    if isinstance(value, str):
        _whole(value)
    elif isinstance(value, (dict, list)):
        if levels == 0:
            raise _too_deep()
        if isinstance(value, dict):
            for key in value:
                _whole(key)
        for part in value.values() if isinstance(value, dict) else value:
            _check(part, levels - 1)


def _whole(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequestError("json_malformed", "A text holds half of a surrogate pair.") from None


def _constant(_name: str) -> NoReturn:
    raise BadRequestError("json_malformed", "NaN and Infinity are not JSON.")


class _Integers:
    """Reads the integers of one document."""

    def __init__(self) -> None:
        self._left = ALL_LONG_DIGITS

    def __call__(self, digits: str) -> int:
        if len(digits) > LONG:
            if len(digits.lstrip("-")) > DIGITS:
                raise _too_long()
            self._left -= len(digits)
            if self._left < 0:
                raise BadRequestError("parameters_too_many", "Send fewer integers of so many digits.")
        return int(digits)


def _too_long() -> BadRequestError:
    return BadRequestError("json_malformed", f"An integer has more than {DIGITS} digits.")


def _too_deep() -> BadRequestError:
    return BadRequestError("parameters_too_deep", f"The JSON is nested more than {LEVELS} levels deep.")

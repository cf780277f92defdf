"""Read a JSON body strictly, with every type kept.

Python's reader takes NaN and lone surrogates, and fails in ways of its own on deep nesting and on integers
past 4,300 digits: all of that is a client's mistake here (400). Of doubled keys the last value counts, in the
place of the first; a float too large for a double is infinite, and echoed as null.
"""

from __future__ import annotations

import codecs
import json
from typing import Any, NoReturn

from ingest.errors import BadRequestError

LEVELS = 100
DIGITS = 4_300  # Python's own limit for one integer, stated so that no setting of the interpreter raises it


def parsed(body: bytes) -> dict[str, Any]:
    """Return a JSON document; one that is no object stands under `_json`. An empty body is `{}`.

    Raises BadRequestError (`json_malformed`, `parameters_too_deep`).
    """
    if not body:
        return {}
    if body.startswith(codecs.BOM_UTF8):
        raise BadRequestError("json_malformed", "The body begins with a byte order mark.")
    try:
        document = json.loads(body.decode(), parse_constant=_constant, parse_int=_integer)
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


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > DIGITS:
        raise _too_long()
    return int(digits)


def _too_long() -> BadRequestError:
    return BadRequestError("json_malformed", f"An integer has more than {DIGITS} digits.")


def _too_deep() -> BadRequestError:
    return BadRequestError("parameters_too_deep", f"The JSON is nested more than {LEVELS} levels deep.")

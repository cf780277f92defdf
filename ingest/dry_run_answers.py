"""Read what a worker answered to a dry run, as far as it is what belongs there.

It comes from Redis, where a worker of another release or a foreign hand may have put anything. So each answer is
built anew from the keys that are known: none of it can pass for the door's own words, and what is beyond them
stays inside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_TEXT, _NUMBER, _NOTHING = str, int, type(None)
_Shape = Mapping[str, tuple[type, ...]]

_PROBLEM: _Shape = {"code": (_TEXT,), "detail": (_TEXT,)}
_RECORD: _Shape = {
    "id": (_TEXT,),
    "name": (_TEXT, _NOTHING),
    "size": (_NUMBER, _NOTHING),  # bytes
    "type": (_TEXT, _NOTHING),
    "md5": (_TEXT, _NOTHING),
}
_COUNTS: _Shape = {"new": (_NUMBER,), "existing": (_NUMBER,), "skipped": (_NUMBER,)}
_AFTER_RECORD: _Shape = {"reuses": (_TEXT, _NOTHING), "api_calls": (_NUMBER,)}
_AFTER_COUNTS: _Shape = {"api_calls": (_NUMBER,)}


def of_record(text: str) -> dict[str, Any]:
    """Return `problems`, `record` (or None), `reuses` and `api_calls`. Raises ValueError."""
    found = _read(text)
    return {
        "problems": _problems(found),
        "record": _object_or_none(found.get("record", ()), _RECORD),
        **_taken(found, _AFTER_RECORD),
    }


def of_album(text: str) -> dict[str, Any]:
    """Return `problems`, `counts` (or None) and `api_calls`. Raises ValueError."""
    found = _read(text)
    return {
        "problems": _problems(found),
        "counts": _object_or_none(found.get("counts", ()), _COUNTS),
        **_taken(found, _AFTER_COUNTS),
    }


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("no object")  # noqa: TRY004 - whatever is wrong with an answer is one error
    return found


def _problems(found: dict[str, Any]) -> list[dict[str, Any]]:
    problems = found.get("problems")
    if not isinstance(problems, list):
        raise ValueError("problems are no list")  # noqa: TRY004 - see above
    return [_taken(one, _PROBLEM) for one in problems]


def _object_or_none(value: object, shape: _Shape) -> dict[str, Any] | None:
    return None if value is None else _taken(value, shape)


def _taken(value: object, shape: _Shape) -> dict[str, Any]:
    """Take the keys of a shape, all of them. By `type`, since True would pass for a number."""
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - see above
    for name, kinds in shape.items():
        if name not in value or type(value[name]) not in kinds:
            raise ValueError(f"{name} is missing or of another type")
    return {name: value[name] for name in shape}

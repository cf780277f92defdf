"""Make of body and query the one set of parameters that an import is asked with, and echoes.

    body by its Content-Type ─┐
                              ├─ query wins, shallow ─ nulls leave arrays ─ controller, action, format
    query ────────────────────┘

The echo is kept as JSON text: as a sub-document of the store it would lose NUL in keys, `$` and `.` keys,
integers beyond 64 bits and deep nesting. It may hold credentials that a client sent; it goes into the answer
and into no log.
"""

from __future__ import annotations

import re
from typing import Any

from ingest import json_body, json_text, multipart, rack
from ingest.errors import PayloadTooLargeError, UnsupportedMediaTypeError

CONTROLLER = "api/v1/imports"
ACTION = "create"
JSON_TYPES = frozenset({"application/json", "text/x-json", "application/jsonrequest"})
FORM_TYPE = "application/x-www-form-urlencoded"
MULTIPART_TYPE = "multipart/form-data"
LARGEST_ECHO = 3 * 2**20  # bytes of the answer, in which a NUL or a `<` of the body is written as six
_MEDIA_TYPE_END = re.compile(r"[;,]")


def merged(
    *,
    body: bytes,
    content_type: str | None,
    query: bytes | str,
    format: str | None,  # noqa: A002 - the route's word, and the parameter's name in the echo
) -> dict[str, Any]:
    """Return the parameters of a POST in the order of their echo.

    `format` is the route's extension (`json`) or None. Values are text, None, hashes and arrays of them, and
    from JSON also numbers and booleans. Raises BadRequestError (400) and UnsupportedMediaTypeError (415), and
    nothing else for any bytes. The work grows with the body: beyond some ten kilobytes it belongs in a thread.
    """
    sent = query if isinstance(query, bytes) else query.encode("utf-8", "surrogatepass")
    params = _of_body(body, content_type) | rack.query(sent)
    _drop_nulls_of_arrays(params)
    params |= {"controller": CONTROLLER, "action": ACTION}
    if format is not None:
        params["format"] = format
    return params


def text(params: dict[str, Any], name: str) -> str | None:
    """Return a parameter where text is meant; one of another type counts as absent."""
    value = params.get(name)
    return value if isinstance(value, str) else None


def frozen(value: Any) -> str:
    """Return parameters, or one of them, as the JSON text that the import's document keeps.

    Raises PayloadTooLargeError for one that is shown as too many bytes.
    """
    written = json_text.write(value)
    if len(written) * 6 > LARGEST_ECHO and json_text.escaped_size(written) > LARGEST_ECHO:
        raise PayloadTooLargeError(LARGEST_ECHO)
    return written


def _of_body(body: bytes, content_type: str | None) -> dict[str, Any]:
    given = content_type or ""
    media_type = _MEDIA_TYPE_END.split(given, maxsplit=1)[0].strip().lower()
    if media_type in ("", FORM_TYPE):
        return rack.form(body)
    if media_type in JSON_TYPES:
        return json_body.parsed(body)
    if media_type == MULTIPART_TYPE:
        return multipart.parsed(body, given)
    if not body:
        return {}
    raise UnsupportedMediaTypeError("Send a form, JSON or multipart/form-data.")


def _drop_nulls_of_arrays(params: dict[str, Any]) -> None:
    """Take the nulls out of arrays, however deep; those of hashes stay."""
    waiting: list[Any] = [params]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            value[:] = parts = [part for part in value if part is not None]
        else:
            parts = value.values()
        waiting += [part for part in parts if isinstance(part, (dict, list))]

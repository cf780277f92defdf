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
LARGEST_ECHO = 12 * 2**20  # bytes: the store takes 16 MiB for the whole import, and a NUL is written as six
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
    params = {name: _without_nulls(value) for name, value in params.items()}
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

    Raises PayloadTooLargeError where the text would not fit into a document of the store.
    """
    written = json_text.write(value)
    if len(written) * 4 > LARGEST_ECHO and len(written.encode()) > LARGEST_ECHO:
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


def _without_nulls(value: Any) -> Any:
    """Return plain hashes and arrays, without the nulls of arrays; those of hashes stay."""
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value if part is not None]
    return value

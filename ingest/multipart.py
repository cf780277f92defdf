"""Read the fields of a `multipart/form-data` body, and refuse files.

Falcon's own parser does the framing: it is the framework's, is kept up with it, and can be run over bytes in
memory. Names and values are literal here (`+` and `%` mean themselves) and UTF-8 whatever a part claims: to
guess at another encoding could only store text that nobody sent.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import falcon
from falcon.media.multipart import MultipartFormHandler, MultipartParseOptions

from ingest import rack
from ingest.errors import BadRequestError

PARTS = 1_024  # far more than a form has; each costs as much as some ten pairs of a plain form


def parsed(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the form's fields, with names read by the grammar of `rack`.

    Raises BadRequestError (`multipart_malformed`, `file_not_accepted`, and those of `rack.assign`).
    """
    if not body:
        return {}
    return rack.fields(_fields(body, content_type))


def _fields(body: bytes, content_type: str) -> Iterator[tuple[str, str]]:
    options = MultipartParseOptions()
    options.max_body_part_count = PARTS
    options.max_body_part_buffer_size = len(body)
    try:
        for part in MultipartFormHandler(options).deserialize(io.BytesIO(body), content_type, len(body)):
            name, filename, data = part.name, part.filename, part.get_data()
            if name is None:
                raise BadRequestError("multipart_malformed", "A part has no name.")
            if filename == "" and not data:
                continue  # a browser's file input in which nobody chose a file
            if filename is not None:
                raise BadRequestError(
                    "file_not_accepted", "Send fields only; the picture is fetched from its source."
                )
            yield name, data.decode()
    except falcon.HTTPError:
        raise BadRequestError("multipart_malformed", "The parts of the form cannot be told apart.") from None
    except ValueError:  # of decoding: a name, a value or a header
        raise BadRequestError("multipart_malformed", "A name or a value is not UTF-8.") from None

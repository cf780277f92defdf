"""Read `Idempotency-Key`: the name that a client gives to a request, so that repeating it imports nothing twice.

Bare (`order-17`) and quoted as a structured field (`"order-17"`, RFC 8941) name the same request. A key
counts inside its organization only. What was asked is remembered as a digest of the merged parameters, by
which a repetition is told from another request under the same key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ingest.errors import BadRequestError

HEADER = b"idempotency-key"
LONGEST = 255  # characters, without the quotes
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_ESCAPED = re.compile(r'\\(["\\])')


def key_of(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return the key of a request, without quotes; None where none was sent.

    Raises BadRequestError for one that is empty, longer than 255 characters, not printable ASCII, quoted at
    one end only, or sent twice: a client that relies on it must learn that it would not hold.
    """
    sent = [value for name, value in headers if name == HEADER]
    if not sent:
        return None
    if len(sent) > 1:
        raise _refused("Send one Idempotency-Key.")
    text = sent[0].decode("latin-1").strip(" \t")
    if text.startswith('"'):
        quoted = _QUOTED.fullmatch(text)
        if quoted is None:
            raise _refused("Send an Idempotency-Key with a quote at both ends, or at neither.")
        text = _ESCAPED.sub(r"\1", quoted[1])
    if not _PRINTABLE.fullmatch(text) or len(text) > LONGEST:
        raise _refused(f"Send an Idempotency-Key of 1 to {LONGEST} printable ASCII characters.")
    return text


def digest(params: Mapping[str, Any]) -> str:
    """Return the SHA-256 of merged parameters, the same whatever the order of their names."""
    written = json.dumps(params, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def _refused(detail: str) -> BadRequestError:
    return BadRequestError("idempotency_key_invalid", detail)

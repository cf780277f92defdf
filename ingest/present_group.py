"""Show a group as JSON: seven keys in their order, and what is wrong with it or holds it up where that is so."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from common.documents.database import Document
from common.documents.statuses import OPEN
from ingest import json_text
from ingest.errors import BadRequestError
from ingest.present import timestamp

SHOWN_STATUSES = ("queued", "expanding", "importing", "finished", "failed", "canceled")
LARGEST_PLACE = 10**9


def group(
    document: Document,
    *,
    counts: Mapping[str, int],
    skipped: Sequence[Mapping[str, str]],
    zone: ZoneInfo,
) -> bytes:
    """Return a group; what else there is to say follows the seven keys only where there is something."""
    shown: dict[str, Any] = {
        "id": document["_id"],
        "album_id": document["album_id"],
        "status": status(document, counts),
        "counts": dict(counts),
        "existing": document["existing"],
        "skipped": [{"record_id": one["record_id"], "code": one["code"]} for one in skipped],
        "created_at": timestamp(document["created_at"], zone),
    }
    if document.get("skipped"):  # an earlier release kept no counts
        shown["skipped_counts"] = dict(document["skipped"])
    for name in ("error", "waiting_for"):
        if document[name] is not None:
            shown[name] = document[name]
    return json_text.encoded(shown)


def status(document: Document, counts: Mapping[str, int]) -> str:
    """Return a group's status as its caller sees it: listed, it goes on until its last import has ended."""
    if document["status"] != "expanded":
        return str(document["status"])
    return "importing" if any(counts[one] for one in OPEN) else "finished"


def page(imports: Sequence[bytes], *, following: str | None) -> bytes:
    """Return a page of imports, each JSON already, with the way to the next one."""
    links = json_text.encoded({"next": following})
    return b'{"data":[' + b",".join(imports) + b'],"links":' + links + b"}"


def cursor(place: int) -> str:
    """Return the place at which a page begins, as callers carry it: opaque, for it may come to mean more."""
    return base64.urlsafe_b64encode(f"p{place}".encode()).decode().rstrip("=")


def place(text: str) -> int:
    """Read a cursor. Raises BadRequestError for one that was never given out."""
    try:
        read = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        if read[:1] == "p" and read[1:].isdigit() and int(read[1:]) <= LARGEST_PLACE:
            return int(read[1:])
    except (binascii.Error, ValueError):
        pass
    raise BadRequestError("query_malformed", "Follow links.next: this cursor was not given out here.")

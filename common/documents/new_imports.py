"""Give a new import its shape: every field that it will ever have, bar `due_at` and `open` once it has ended.

Only an import that came with an Idempotency-Key has the `idempotency_…` fields, and only for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.documents.database import Document
from common.documents.imports import FETCH
from common.documents.unclaimed import unclaimed


@dataclass(frozen=True, slots=True)
class Once:
    """What makes a request one that is carried out once: its client's key, what it asked for, and for how long."""

    key: str
    digest: str
    until: datetime

    def fields(self, organization_id: str) -> Document:
        """Return the fields that only such an import has; the first is unique, and all go when time is up."""
        return {
            "idempotency_key": f"{organization_id}:{self.key}",
            "idempotency_digest": self.digest,
            "idempotency_until": self.until,
        }


def accepted(  # noqa: PLR0913 - the whole shape in one place
    import_id: str,
    *,
    organization_id: str,
    user_id: str,
    params: str,
    import_type: str | None,
    album_id: str | None,
    filename: str | None,
    metadatas: str | None,
    source_type: str | None,
    record_id: str | None,
    request_id: str | None,
    now: datetime,
    due_in: float,
    once: Once | None = None,
) -> Document:
    """Write a new import. `params` and `metadatas` are JSON text; `due_in` is in seconds."""
    return {
        "_id": import_id,
        "shape": 1,
        "organization_id": organization_id,
        "user_id": user_id,
        "request_id": request_id,
        "params": params,
        "import_type": import_type,
        "album_id": album_id,
        "filename": filename,
        "metadatas": metadatas,
        "source_type": source_type,
        "record_id": record_id,
        "image_id": None,
        "duplicate_of": None,
        "original": None,
        **unclaimed(FETCH, now=now, due_in=due_in),
        **({} if once is None else once.fields(organization_id)),
    }


def refused(document: Document, *, code: str, detail: str) -> Document:
    """Turn a new import into one that fails as it is recorded: what it asks for can never be done."""
    ended = {name: value for name, value in document.items() if name not in ("open", "due_at")}
    error = {"code": code, "detail": detail, "retryable": False}
    event = {"at": document["created_at"], "event": "failed", "code": code}
    return {**ended, "status": "failed", "error": error, "history": [event]}

"""The fields of a document that nobody holds: of a new one, and what each end of a claim leaves."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common.documents.database import Document

if TYPE_CHECKING:
    from common.documents.claims import Stage

# What a document that nobody holds does not have.
FREE: Document = {
    "owner": None,
    "lease_until": None,
    "waiting_for": None,
    "expected_at": None,
    "not_before": None,
}
UNSET: Document = {"due_at": "", "open": ""}


def unclaimed(stage: Stage, *, now: datetime, due_in: float) -> Document:
    """Return the fields of a new document that waits for its first stage. `due_in` is in seconds."""
    return {
        "status": stage.before,
        "error": None,
        "fence": 0,
        "deliveries": 0,
        "attempts": 0,
        "asks": 0,
        "calls": 0,
        **FREE,
        "stages": {},
        "history": [{"at": now, "event": stage.before}],
        "mark": str(uuid.uuid4()),
        "open": {stage.name: now},
        "created_at": now,
        "updated_at": now,
        "due_at": now + timedelta(seconds=due_in),
    }

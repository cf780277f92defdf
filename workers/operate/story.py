"""Tell the whole story of one import: for machines its GET document with more, for people what happens next.

The first keys are those of `GET /api/v1/imports/{id}` with the same values, so that what an operator reads
and what a client reads never differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from common.documents.database import Document
from common.documents.imports import stage_of
from workers.operate.printing import lasting, shown, written

EIGHT = ("organization_id", "image_id", "import_type", "album_id")


def told(import_: Document, zone: ZoneInfo) -> dict[str, Any]:
    """Return the GET document with `deliveries` and `history`."""
    error = import_["error"]
    return {
        "id": import_["_id"],
        **{name: import_[name] for name in EIGHT},
        "params": json.loads(import_["params"]),
        "created_at": written(import_["created_at"], zone),
        "updated_at": written(import_["updated_at"], zone),
        "status": import_["status"],
        "error": error and {name: error.get(name) for name in ("code", "detail", "retryable")},
        "attempts": import_["attempts"],
        "calls": import_.get("calls", 0),
        "waiting_for": import_["waiting_for"],
        "expected_at": written(import_.get("expected_at"), zone),
        "next_attempt_at": written(import_["not_before"], zone),
        **({"duplicate_of": import_["duplicate_of"]} if import_.get("duplicate_of") else {}),
        "stages": _timed(import_["stages"], zone),
        "links": links(import_),
        "deliveries": import_["deliveries"],
        "history": _timed(import_["history"], zone),
    }


def summary(import_: Document, zone: ZoneInfo) -> dict[str, Any]:
    """Return one import as a row of a list: no parameters, no history."""
    error = import_["error"] or {}
    return {
        "id": import_["_id"],
        "organization_id": import_["organization_id"],
        "image_id": import_["image_id"],
        "created_at": written(import_["created_at"], zone),
        "updated_at": written(import_["updated_at"], zone),
        "status": import_["status"],
        "code": error.get("code"),
        "attempts": import_["attempts"],
        "deliveries": import_["deliveries"],
        "waiting_for": import_["waiting_for"],
        "next_attempt_at": written(import_["not_before"], zone),
    }


def links(import_: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the paths that belong to an import."""
    image = import_["image_id"]
    return {
        "self": f"/api/v1/imports/{import_['_id']}",
        "image": None if image is None else f"/api/v1/images/{image}",
    }


def outlook(import_: Document, organization: Document | None, *, now: datetime, zone: ZoneInfo) -> str:
    """Say in sentences why an import is where it is, and what happens next."""
    status = import_["status"]
    stage = stage_of(status)
    if stage is None:
        return _ending(import_)
    if status == stage.doing:
        until = shown(import_["lease_until"], zone)
        return (
            f"Worker {import_['owner']} is busy with it ({stage.name}, claim {import_['fence']}). "
            f"It says so again and again; silent past {until}, the sweeper gives the import to another."
        )
    waits = _why(import_, organization, stage.name, zone)
    again = import_["not_before"] or import_["due_at"]
    ahead = (again - now).total_seconds()
    when = f"at {shown(again, zone)}, in {lasting(ahead)}" if ahead > 0 else "now: it is due"
    return f"{waits} Looked at again {when}."


def counted(import_: Document) -> str:
    """Say how often it was tried, and what of it counts against the import."""
    claims, attempts, deliveries = import_["fence"], import_["attempts"], import_["deliveries"]
    if not claims:
        return "none yet"
    # An import that is being worked on has one claim that nobody has ended; that one is no accident.
    stage = stage_of(import_["status"])
    lost = deliveries - (stage is not None and import_["status"] == stage.doing)
    parts = [f"claimed {claims}x"]
    if attempts:
        parts.append(f"{attempts}x the answer was no good")
    if lost > 0:
        parts.append(f"{lost}x the worker died with it")
    return ", ".join(parts)


def happened(entry: Document) -> str:
    """Return the particulars of a history entry on one line."""
    parts = [f"{name} {entry[name]}" for name in ("code", "owner") if entry.get(name)]
    if entry.get("fence"):
        parts.append(f"claim {entry['fence']}")
    return " · ".join(parts)


def _ending(import_: Document) -> str:
    """Say how it ended, and whether anything can be done."""
    if import_["status"] == "succeeded":
        return f"Done: image {import_['image_id']}. Original and thumbnails are stored."
    if import_["status"] == "canceled":
        return "Canceled by an operator; nothing more happens."
    error = import_["error"] or {}
    why = f"Failed: {error.get('detail')} ({error.get('code')})"
    if import_["record_id"] is None:
        return f"{why} It names nothing that could be fetched, so trying again cannot help: submit it anew."
    helps = "is likely to help" if error.get("retryable") else "helps only once the cause is gone"
    return f"{why} `imports retry {import_['_id']}` tries it again, which {helps}."


def _why(import_: Document, organization: Document | None, queue: str, zone: ZoneInfo) -> str:
    """Say why an import that nobody holds is not being worked on."""
    if organization is not None and organization["disabled_at"] is not None:
        since, name = shown(organization["disabled_at"], zone), organization["_id"]
        return f"Its organization is disabled since {since}: `imports organization enable {name}`."
    gate = None if organization is None else organization["gate"]
    if queue == "fetch" and gate is not None:
        return (
            f"Its organization cannot be served: {gate['detail']} All its imports wait, none of it counts, "
            f"and one of them tries again at {shown(gate['probe_at'], zone)}."
        )
    waiting_for = import_["waiting_for"]
    if waiting_for == "retry":
        tried = import_["stages"].get(queue, {}).get("attempts", 0)
        code = next((one["code"] for one in reversed(import_["history"]) if one.get("code")), "no good")
        return f"Attempt {tried} of {queue} ended in {code}; waits for the next one."
    if waiting_for is not None:
        expected = import_.get("expected_at")
        until = "" if expected is None else f" and should be over by {shown(expected, zone)}"
        return f"Waits for {waiting_for}, which counts nothing against it{until}."
    return f"Waits in queue {queue} for a free worker."


def _timed(value: Any, zone: ZoneInfo) -> Any:
    """Return stored values with their times written out."""
    if isinstance(value, datetime):
        return written(value, zone)
    if isinstance(value, Mapping):
        return {name: _timed(part, zone) for name, part in value.items()}
    if isinstance(value, list):
        return [_timed(part, zone) for part in value]
    return value

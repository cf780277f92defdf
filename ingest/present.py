"""Show an import as the contract's JSON: eight keys in their order, then, for whoever asks later, the rest.

The parameters are kept as JSON text and go into the answer as text: what never becomes a value again cannot
lose anything on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ingest import json_text

json_bytes = json_text.encoded  # the writer of every JSON answer


def document(import_: Mapping[str, Any], *, zone: ZoneInfo) -> bytes:
    """Return the answer to a POST: exactly eight keys, compact, no newline at the end."""
    return json_text.escape(_eight(import_, zone) + "}")


def with_state(import_: Mapping[str, Any], *, zone: ZoneInfo, links: Mapping[str, Any]) -> bytes:
    """Return the answer to a GET: the same eight keys, then how far the import is and what it waits for."""
    error = import_.get("error")
    not_before, expected_at = import_.get("not_before"), import_.get("expected_at")
    state = {
        "status": import_["status"],
        "error": error and {name: error.get(name) for name in ("code", "detail", "retryable")},
        "attempts": import_.get("attempts", 0),
        "calls": import_.get("calls", 0),
        "waiting_for": import_.get("waiting_for"),
        "expected_at": expected_at and timestamp(expected_at, zone),
        "next_attempt_at": not_before and timestamp(not_before, zone),
        # Only where there is one: an earlier image of the same bytes.
        **({"duplicate_of": import_["duplicate_of"]} if import_.get("duplicate_of") else {}),
        "stages": _shown(import_.get("stages") or {}, zone),
        "links": dict(links),
    }
    return json_text.escape(f"{_eight(import_, zone)},{json_text.write(state)[1:]}")


def timestamp(moment: datetime, zone: ZoneInfo) -> str:
    """Return an aware datetime as `YYYY-MM-DDTHH:MM:SS.mmm±HH:MM`, cut to milliseconds; UTC is written `Z`."""
    local = moment.astimezone(zone)
    written = local.isoformat(timespec="milliseconds")
    # A zone that merely stands at UTC for a while (London in winter) is written with its numbers.
    return written.removesuffix("+00:00") + "Z" if local.tzname() in ("UTC", "UCT") else written


def _eight(import_: Mapping[str, Any], zone: ZoneInfo) -> str:
    """Return the contract's object without its closing brace."""
    before = {
        "id": import_["_id"],
        "organization_id": import_["organization_id"],
        "image_id": import_["image_id"],
        "import_type": import_["import_type"],
        "album_id": import_["album_id"],
    }
    created_at, updated_at = import_["created_at"], import_["updated_at"]
    created = timestamp(created_at, zone)
    updated = created if updated_at == created_at else timestamp(updated_at, zone)
    # A time is digits and signs: nothing of it is escaped in JSON.
    times = f'"created_at":"{created}","updated_at":"{updated}"'
    return f'{json_text.write(before)[:-1]},"params":{import_["params"]},{times}'


def _shown(value: Any, zone: ZoneInfo) -> Any:
    """Return stored values with their times written out."""
    if isinstance(value, datetime):
        return timestamp(value, zone)
    if isinstance(value, Mapping):
        return {name: _shown(part, zone) for name, part in value.items()}
    if isinstance(value, list):
        return [_shown(part, zone) for part in value]
    return value

"""Decide whether an organization's imports may go on now.

A closed gate is shared by all workers through the organization's document. It lets one import through
each time its pause is over; that one's success opens it, its failure keeps it closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from common.documents.database import Document
from common.documents.imports import FETCH, Stage
from common.documents.organizations import Organizations
from workers.failures import Throttled

log = structlog.get_logger(__name__)

DISABLED = "organization_enabled"
LOOK_AGAIN = timedelta(seconds=60)  # nothing rests on it: the sweeper rings when the gate is due or open


@dataclass(frozen=True, slots=True)
class Wait:
    """An import may not go on now: for what it waits, and until when at the latest."""

    waiting_for: str
    until: datetime


class Gates:
    """The gates of all organizations, as far as this process asks."""

    def __init__(self, organizations: Organizations, *, clock: Callable[[], datetime]) -> None:
        self._organizations, self._clock = organizations, clock

    def judge(self, organization: Document | None, stage: Stage) -> Wait | None:
        """Return None where an import may try; for a closed gate that is due, to one asker only."""
        now = self._clock()
        if organization is None or organization["disabled_at"] is not None:
            return Wait(DISABLED, now + LOOK_AGAIN)
        gate = organization["gate"]
        if gate is None or stage is not FETCH:
            return None
        if gate["probe_at"] <= now and self._organizations.take_probe(organization, now=now):
            return None
        return Wait(gate["waiting_for"], max(now, gate["probe_at"]) + LOOK_AGAIN)

    def room(self, organization: Document | None, stage: Stage) -> int | None:
        """Return how many bells may be out for an organization now: None for the usual number."""
        if organization is None or organization["disabled_at"] is not None:
            return 0
        gate = organization["gate"]
        if gate is None or stage is not FETCH:
            return None
        return 1 if gate["probe_at"] <= self._clock() else 0

    def close(self, organization_id: str, failure: Throttled) -> None:
        """Close an organization's gate, or keep it closed for longer."""
        news = self._organizations.close_gate(
            organization_id,
            now=self._clock(),
            waiting_for=failure.waiting_for,
            code=failure.code,
            detail=failure.detail,
            first=failure.probe_after,
            cap=failure.probe_cap,
        )
        if news:
            log.warning("gate closed", organization_id=organization_id, waiting_for=failure.waiting_for)

    def served(self, organization: Document) -> None:
        """Open the gate of an organization that was seen closed and has just served an import."""
        if organization["gate"] is not None:
            self._organizations.open_gate(organization["_id"])
            log.warning("gate opened", organization_id=organization["_id"])

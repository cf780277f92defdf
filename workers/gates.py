"""Decide whether an organization's imports may go on now.

A closed gate is shared by all workers through the organization's document. It lets one import through
each time its pause is over; that one's success opens it, its failure keeps it closed.

A child of a group may also be held by itself, while the calls that its organization has left are for the
organization's own business (`quota`); its gate stays open for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from common.documents.claims import Stage
from common.documents.database import Document
from common.documents.imports import FETCH
from common.documents.organizations import Organizations
from workers.failures import Throttled
from workers.quota import WAITING_FOR, Allowances

log = structlog.get_logger(__name__)

SOURCES = "fetch"  # the queue whose work asks the source, which is what a gate is about
DISABLED = "organization_enabled"
LOOK_AGAIN = timedelta(seconds=60)  # nothing rests on it: the sweeper resumes it when the gate is due or open


@dataclass(frozen=True, slots=True)
class Wait:
    """An import may not go on now: for what it waits, and until when at the latest."""

    waiting_for: str
    until: datetime
    expected_at: datetime | None = None  # when it should be over, where anybody can know
    alone: bool = False  # others of its organization may go on


class Gates:
    """The gates of all organizations, as far as this process asks."""

    def __init__(
        self,
        organizations: Organizations,
        *,
        clock: Callable[[], datetime],
        allowances: Allowances | None = None,
    ) -> None:
        self._organizations, self._clock, self._allowances = organizations, clock, allowances

    def judge(self, organization: Document | None, stage: Stage, *, group: bool = False) -> Wait | None:
        """Return None where an import may try; for a closed gate that is due, to one asker only.

        `group` says that the import is the child of a group.
        """
        now = self._clock()
        if organization is None or organization["disabled_at"] is not None:
            return Wait(DISABLED, now + LOOK_AGAIN)
        gate = organization["gate"]
        if stage.queue != SOURCES:
            return None
        if gate is None:
            return self._held(organization["_id"], now) if group else None
        if gate["probe_at"] <= now and self._organizations.take_probe(organization, now=now):
            return None
        until = max(now, gate["probe_at"]) + LOOK_AGAIN
        return Wait(gate["waiting_for"], until, gate.get("expected_at"))

    def is_open(self, organization: Document | None, stage: Stage) -> bool:
        """Tell whether whatever waits for a stage may go on, of a group or not. Changes nothing."""
        if organization is None or organization["disabled_at"] is not None:
            return False
        if stage.queue != SOURCES:
            return True
        return organization["gate"] is None and self._held(organization["_id"], self._clock()) is None

    def holds(self, seen: Document) -> bool:
        """Tell whether an import that waits is held by itself, so that dispatching it would be of no use."""
        if self._allowances is None or seen.get("group_id") is None or seen["status"] != FETCH.before:
            return False
        return self._allowances.of(seen["organization_id"]).pauses(group=True) is not None

    def closed(self, organization: Document) -> tuple[str, str] | None:
        """Return the code and the sentence of what closed an organization's gate, None for an open one."""
        gate = organization["gate"]
        return None if gate is None else (gate["code"], gate["detail"])

    def limit(self, organization: Document | None, stage: Stage) -> int | None:
        """Return how much may be dispatched for an organization now: None for the usual number."""
        if organization is None or organization["disabled_at"] is not None:
            return 0
        gate = organization["gate"]
        if gate is None or stage.queue != SOURCES:
            return None
        return 1 if gate["probe_at"] <= self._clock() else 0

    def close(self, organization_id: str, failure: Throttled, *, probe: bool = True) -> None:
        """Close an organization's gate, or keep it closed for longer where a `probe` of it has failed."""
        news = self._organizations.close_gate(
            organization_id,
            now=self._clock(),
            waiting_for=failure.waiting_for,
            code=failure.code,
            detail=failure.detail,
            first=failure.probe_after,
            cap=failure.probe_cap,
            probe=probe,
            expected_at=failure.expected_at,
        )
        if news:
            log.warning("gate closed", organization_id=organization_id, waiting_for=failure.waiting_for)

    def _held(self, organization_id: str, now: datetime) -> Wait | None:
        if self._allowances is None:
            return None
        quota = self._allowances.of(organization_id)
        usage = quota.pauses(group=True)
        if usage is None:
            return None
        return Wait(WAITING_FOR, now + LOOK_AGAIN, quota.expected(usage, group=True), alone=True)

    def served(self, organization: Document) -> None:
        """Open the gate of an organization that was seen closed and has just served an import."""
        if organization["gate"] is not None:
            self._organizations.open_gate(organization["_id"])
            log.warning("gate opened", organization_id=organization["_id"])

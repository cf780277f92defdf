"""Count from the imports' own histories what a run cost and how soon it recovered. Pure: documents in, figures out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.documents.statuses import ENDED

Document = Mapping[str, Any]
CLAIMS = ("fetching", "rendering")


@dataclass(frozen=True, slots=True)
class Claims:
    """How often work was begun: in all, as often as needed, after failed answers, and beyond both."""

    made: int
    needed: int
    explained: int

    @property
    def repeated(self) -> int:
        """Claims that neither progress nor a failed answer explains: work that was done again."""
        return self.made - self.needed - self.explained


def claims(documents: Sequence[Document]) -> Claims:
    """Count the claims of imports. A claim that a failed answer ended explains the one after it."""
    made = needed = explained = 0
    for document in documents:
        events = [entry["event"] for entry in document["history"]]
        made += document["fence"]
        needed += sum(claim in events for claim in CLAIMS)
        explained += sum(
            "code" in entry and "fence" in entry and entry["event"] not in ENDED
            for entry in document["history"]
        )
    return Claims(made, needed, explained)


def lost_claims(document: Document) -> int:
    """Return how many claims of an import ended because their worker was silent for a lease."""
    killed = int((document["error"] or {}).get("code") == "worker_killed")
    return killed + [entry["event"] for entry in document["history"]].count("lease expired")


def ended_at(document: Document) -> datetime | None:
    """Return when an import came to its end."""
    ends: list[datetime] = [entry["at"] for entry in document["history"] if entry["event"] in ENDED]
    return ends[-1] if ends else None


@dataclass(frozen=True, slots=True)
class Recovery:
    """How the last fault was recovered from."""

    open_then: int  # imports that were open as it healed
    seconds: float  # until the last of all imports had ended
    work_seconds: float  # what these imports cost an undisturbed product

    @property
    def beyond_work(self) -> float:
        """Seconds beyond the work itself."""
        return max(0.0, self.seconds - self.work_seconds)


def recovery(documents: Sequence[Document], *, healed_at: datetime, renderers: int) -> Recovery:
    """Measure from the moment the last fault healed. The work is that of as many renders side by side."""
    ends = [(document["created_at"], ended_at(document)) for document in documents]
    open_then = sum(made <= healed_at and (end is None or end > healed_at) for made, end in ends)
    last = max((end for _, end in ends if end is not None), default=healed_at)
    renders = [
        (stage["ended_at"] - stage["started_at"]).total_seconds()
        for document in documents
        if (stage := document["stages"].get("render")) and stage.get("ended_at") and stage.get("started_at")
    ]
    each = statistics.median(renders) if renders else 0.0
    seconds = max(0.0, (last - healed_at).total_seconds())
    return Recovery(open_then, seconds, open_then * each / renderers)

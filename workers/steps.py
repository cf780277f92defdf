"""Say what a stage is to the pipeline: whose it is, its work, the write that ends it well, and what follows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.documents.claims import Claim, Claims, Stage
from common.documents.database import Document
from common.documents.groups import EXPAND

Work = Callable[[Claim, Document, threading.Event], Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of the way. `then` is the stage that its document is dispatched to next."""

    stage: Stage
    ledger: Claims
    work: Work
    finish: Callable[[Claim, Any], None]
    then: str | None

    def named(self, seen: Document) -> tuple[str, str, str]:
        """Return what a dispatch of the document names: the stage, the organization, the id."""
        return self.stage.name, seen["organization_id"], seen["_id"]

    def is_of_group(self, seen: Document) -> bool:
        """Tell whether a document is a group or belongs to one, which leaves the reserve of calls alone."""
        return self.stage is EXPAND or seen.get("group_id") is not None


def of_document(work: Callable[[Document, Document, threading.Event], Any]) -> Work:
    """Let work that writes nothing of its own see the document alone."""
    return lambda claim, organization, stop: work(claim.document, organization, stop)

"""Write the children of one group, each as if its picture had been asked for by itself.

Everything goes through the group's claim: whoever lost it stops at the next write. What is written stays right
even then, since a child's id is made of its record and nobody can write it twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from common.documents.claims import Claim
from common.documents.database import Document, insist
from common.documents.groups import Groups, child_id_of
from common.documents.imports import Imports
from common.documents.new_imports import accepted
from workers.sources.record import ListedRecord
from workers.stages.expand import Counts, Known

PATIENCE_SECONDS = 10.0  # within a lease


class Children:
    """The children of the group that a claim is for. Raises LostClaimError when the claim is lost."""

    def __init__(
        self,
        claim: Claim,
        *,
        imports: Imports,
        groups: Groups,
        stored: Callable[[Document], bool],
        clock: Callable[[], datetime],
    ) -> None:
        """`stored` says whether the original of a failed import is still in the blobs."""
        self._claim, self._group = claim, claim.document
        self._imports, self._groups, self._stored, self._clock = imports, groups, stored, clock
        self._found: dict[str, Document] = {}

    def known(self, records: Sequence[ListedRecord]) -> Mapping[str, Known]:
        """Look up which records have an import by a group already."""
        ids = {self._id(record): record.record_id for record in records}
        found = insist(lambda: self._imports.find_many(ids), seconds=PATIENCE_SECONDS)
        self._found = {ids[one["_id"]]: one for one in found}
        return {record_id: self._kind(one) for record_id, one in self._found.items()}

    def retry(self, record: ListedRecord) -> None:
        """Open a failed import again; the sweeper rings for it."""
        seen = self._found[record.record_id]
        stored = self._stored(seen)
        insist(
            lambda: self._imports.retried(seen, stored=stored, now=self._clock()), seconds=PATIENCE_SECONDS
        )

    def progressed(self, counts: Counts) -> None:
        """Write down how far the listing is; one begun anew does not take back what the last one counted."""
        told = {
            "children": max(counts.children, self._group["children"]),
            "positions": counts.positions,
            "existing": counts.existing,
            "skipped": dict(counts.skipped),
        }
        insist(
            lambda: self._groups.progressed(self._claim, now=self._clock(), **told), seconds=PATIENCE_SECONDS
        )

    def write(self, records: Sequence[ListedRecord], *, start: int) -> int:
        """Write imports that are due at once; the sweeper rings for them."""
        now = self._clock()
        documents = [self._child(record, start + place, now=now) for place, record in enumerate(records)]
        there = insist(lambda: self._imports.add_many(documents), seconds=PATIENCE_SECONDS)
        if not there:
            return 0
        # Written by another group meanwhile, or by this very call whose answer was lost.
        ours = [one for one in self._imports.find_many(there) if one.get("group_id") == self._claim.id]
        return len(there) - len(ours)

    def left_out(self, page: int, skips: Sequence[tuple[str, str]]) -> None:
        """Keep what one piece left out."""
        told: list[Document] = [{"record_id": record_id, "code": code} for record_id, code in skips]
        insist(lambda: self._groups.left_out(self._claim, page, told), seconds=PATIENCE_SECONDS)

    def _id(self, record: ListedRecord) -> str:
        group = self._group
        return child_id_of(group["organization_id"], group["album_id"], record.record_id)

    def _kind(self, found: Document) -> Known:
        if found.get("group_id") == self._claim.id:
            return Known.OURS
        return Known.FAILED if found["status"] == "failed" else Known.EXISTING

    def _child(self, record: ListedRecord, position: int, *, now: datetime) -> Document:
        group = self._group
        sent: dict[str, Any] = {
            "album_id": group["album_id"],
            "filename": record.name,
            "import_type": group["source_type"],
            "metadatas": {"attachmentId": record.record_id},
            "attachment_id": record.record_id,
            "group_id": group["_id"],
            "controller": "api/v1/import_groups",
            "action": "create",
        }
        document = accepted(
            self._id(record),
            organization_id=group["organization_id"],
            user_id=group["user_id"],
            params=_json(sent),
            import_type=group["source_type"],
            album_id=group["album_id"],
            filename=record.name,
            metadatas=_json(sent["metadatas"]),
            source_type=group["source_type"],
            record_id=record.record_id,
            request_id=group["request_id"],
            now=now,
            due_in=0,
        )
        # Due times are spread, for what is due is walked through by its time.
        due_at = now + timedelta(milliseconds=position % 1000)
        return {
            **document,
            "due_at": due_at,
            "group_id": group["_id"],
            "group_position": position,
            "listed": record.kept(),
        }


def _json(value: Any) -> str:
    """Write as the door does: compact, raw UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

"""Mend what a verification found, each finding decided again at the moment of acting.

The product runs meanwhile, so what was found may have changed: then nothing is done. Documents are only
written by the conditional writes that everybody uses. A blob is removed only if a second walk over all
documents finds nobody who names it, and only while it is old: whoever would name it has to put it first,
which makes it young.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from common.documents.database import Document
from common.documents.groups import Groups
from common.documents.imports import Imports
from common.queue.inspection import Waiting, take_out
from workers.operate.inspecting import ORPHAN_AGE, Finding, Inspector, judged, parts_of, stuck
from workers.operate.mending import dispatch
from workers.operate.opening import Hands

REPAIRED, KEPT, GONE = "repaired", "kept", "gone"  # gone: it was not so any more


class Repairer:
    """Repairs by one operator's hands. Raises what the stores raise."""

    def __init__(self, hands: Hands, inspector: Inspector) -> None:
        self._hands, self._inspector = hands, inspector
        self._imports, self._images, self._groups = hands.imports, hands.images, hands.groups

    def repaired(self, findings: Iterable[Finding], *, began: datetime) -> Iterator[tuple[Finding, str]]:
        """Act on each finding and yield what came of it; `began` is when the verification did."""
        orphans = []
        for finding in findings:
            if finding.kind == "blob_orphaned":
                orphans.append(finding)
            else:
                yield finding, self._act(finding)
        if orphans:
            named = self._inspector.named_of({finding.id for finding in orphans})
            for finding in orphans:
                yield finding, self._removed(finding.id, named, before=began - ORPHAN_AGE)

    def _removed(self, key: str, named: set[str], *, before: datetime) -> str:
        if key in named:
            return GONE
        return REPAIRED if self._hands.blobs.delete_older(key, before) else GONE

    def _act(self, finding: Finding) -> str:
        match finding.kind:
            case "import_without_image" | "blob_missing" | "blob_changed":
                return self._done_again(finding)
            case "import_stuck":
                return self._woken(finding)
            case "group_stuck":
                return self._group_woken(finding)
            case "image_of_canceled_import":
                return self._image_removed(finding)
            case "message_without_import" if finding.message is not None:
                taken = not self._is_there(finding.message) and take_out(self._hands.redis, finding.message)
                return REPAIRED if taken else GONE
        return KEPT

    def _done_again(self, finding: Finding) -> str:
        seen = None if finding.import_id is None else self._imports.find(finding.import_id)
        if seen is None:
            return KEPT  # without its import nobody knows where it came from
        if seen["status"] != "succeeded" or self._is_whole(seen):
            return GONE
        if seen["record_id"] is None:
            return KEPT
        opened = self._imports.repaired(seen, stored=self._is_stored(seen), now=self._hands.clock())
        return self._rung(opened)

    def _is_whole(self, seen: Document) -> bool:
        image = self._images.find(seen["image_id"])
        if image is None:
            return False
        blobs = self._hands.blobs
        return all(
            judged(blobs, key, size=size, sha256=sha256) is None for _, key, size, sha256 in parts_of(image)
        )

    def _is_stored(self, seen: Document) -> bool:
        original = seen["original"]
        if original is None:
            return False
        size, sha256 = original["bytes"], original["sha256"]
        return judged(self._hands.blobs, original["key"], size=size, sha256=sha256) is None

    def _woken(self, finding: Finding) -> str:
        seen = self._imports.find(finding.id)
        if seen is None or stuck(seen, Imports, now=self._hands.clock()) is None:
            return GONE
        return self._rung(self._imports.woken(seen, now=self._hands.clock()))

    def _group_woken(self, finding: Finding) -> str:
        seen, now = self._groups.find(finding.id), self._hands.clock()
        if seen is None or stuck(seen, Groups, now=now) is None or not self._groups.woken(seen, now=now):
            return GONE
        dispatch(self._hands, [seen], stage_of=self._groups.stage_of)
        return REPAIRED

    def _is_there(self, message: Waiting) -> bool:
        if message.group_id is not None:
            return self._groups.find(message.group_id) is not None
        return message.import_id is not None and self._imports.find(message.import_id) is not None

    def _rung(self, opened: Document | None) -> str:
        if opened is None:
            return GONE
        dispatch(self._hands, [opened])
        return REPAIRED

    def _image_removed(self, finding: Finding) -> str:
        seen = None if finding.import_id is None else self._imports.find(finding.import_id)
        if seen is None or seen["status"] != "canceled":  # a canceled import is never opened again
            return GONE
        self._images.remove(finding.id)
        return REPAIRED

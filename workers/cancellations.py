"""End the open imports of a canceled group, in batches, from the sweeper.

The door only marks the group, since ten thousand imports are not ended within one request. Whoever listed the
group may write a last page of children in the moment in which it is canceled, so the mark stays for a while
after nothing was found open.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from pymongo.errors import PyMongoError

from common.documents.database import Document
from common.documents.groups import Groups
from common.documents.imports import Imports
from common.queue.dispatch import Dispatcher
from workers.redis_away import quietly

log = structlog.get_logger(__name__)

BATCH = 200
GROUPS = 20
STRAGGLERS = timedelta(seconds=60)  # beyond any one write of a worker that has lost its claim


class Cancellations:
    """What the sweeper does for canceled groups; several sweepers may."""

    def __init__(
        self, *, imports: Imports, groups: Groups, dispatcher: Dispatcher, clock: Callable[[], datetime]
    ) -> None:
        self._imports, self._groups, self._dispatcher, self._clock = imports, groups, dispatcher, clock

    def tick(self) -> bool:
        """End some of what is open. True where there is more, so that the next look should not wait."""
        try:
            return sum(self._work_off(group) for group in self._groups.canceling(limit=GROUPS)) > 0
        except PyMongoError as error:
            log.debug("cancellations wait", reason=type(error).__name__)
            return False

    def _work_off(self, group: Document) -> bool:
        found = self._imports.open_in_group(group["_id"], limit=BATCH)
        for seen in found:
            self._end(seen)
        if not found and self._clock() - group["canceled_at"] > STRAGGLERS:
            self._groups.canceled_whole(group["_id"])
        return len(found) >= BATCH

    def _end(self, seen: Document) -> None:
        """End one import; one that a worker has just moved on is met again at the next look."""
        stage = self._imports.stage_of(seen["status"])
        now = self._clock()
        ended = self._imports.end(seen, "canceled", code=None, detail="", retryable=False, now=now)
        if ended is None or stage is None:
            return
        with quietly("not dispatched; the sweeper does it"):
            self._dispatcher.finish(stage.name, seen["organization_id"], seen["_id"])

"""Render images anew while nobody waits for a first rendering.

A thread of each render process looks whether the queue `render` is empty, and then takes the next document
of `rerenders` that is due, one at a time: an import that comes meanwhile waits for one picture at most. What
becomes of a document is decided as for an import (`pipeline.py`). Old thumbnails stay where they are; the entry
names the new ones in one write after all of them are stored.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import redis
import structlog
from pymongo.errors import PyMongoError

from common.documents.claims import Claim
from common.documents.imports import RENDER
from common.documents.rerenders import Rerenders
from workers.pipeline import Pipeline
from workers.stages.record import renewed
from workers.stages.render import Rendered

log = structlog.get_logger(__name__)

IDLE_SECONDS = 5.0  # between two looks where there is nothing to do, or imports come first
FEW = 20  # documents looked at in one go; some may be held by others


class Renewals(Pipeline):
    """The way of a rerender: its stage is that of an import, its end is an entry that is there already."""

    def _entered(self, claim: Claim, rendered: Rendered) -> tuple[str, str | None]:
        image_id = str(claim.document["record_id"])
        self._write(lambda: self._images.refresh(image_id, renewed(rendered)))
        return image_id, None

    def _withdraw(self, image_id: str) -> None:
        """Leave the entry: it was there before."""


class Rerendering:
    """The thread. `empty` says whether no import waits for its rendering, and raises RedisError."""

    def __init__(
        self,
        *,
        rerenders: Rerenders,
        run: Callable[[str, str], None],
        empty: Callable[[], bool],
        clock: Callable[[], datetime],
        max_deliveries: int,
    ) -> None:
        self._rerenders, self._render, self._empty = rerenders, run, empty
        self._clock, self._max_deliveries = clock, max_deliveries
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="rerendering", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Take up nothing more."""
        self._ended.set()

    def join(self, seconds: float) -> None:
        """Wait for the picture in hand."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def once(self) -> bool:
        """Render one image anew. False where there is none, or imports come first."""
        now = self._clock()
        due = self._rerenders.find_due(now=now, limit=FEW)
        if not due or not self._empty():
            return False
        for seen in due:
            if seen["status"] == RENDER.doing:
                self._rerenders.expire_lease(seen, max_deliveries=self._max_deliveries, now=now)
            elif seen["status"] == RENDER.before:
                self._render(RENDER.name, seen["_id"])
                return True
        return False

    def _loop(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            pause = IDLE_SECONDS
            try:
                pause = 0.0 if self.once() else IDLE_SECONDS
            except (PyMongoError, redis.RedisError) as error:
                log.debug("nothing is rendered anew", reason=type(error).__name__)
            except Exception:
                log.exception("unexpected failure", stage="rerender")

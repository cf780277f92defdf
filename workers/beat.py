"""Keep up what a process says of itself: that it is alive, and what time the store has."""

from __future__ import annotations

import contextlib
import threading

import redis
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from common.documents.clock import StoreClock
from common.documents.database import Document
from common.queue import presence

BEAT_SECONDS = 5.0


class Beat:
    """A thread that beats for one process. Both stores may be away; then it says nothing and goes on."""

    def __init__(
        self, name: str, *, redis_client: redis.Redis, mongodb: MongoClient[Document], clock: StoreClock
    ) -> None:
        self._name, self._redis, self._mongodb, self._clock = name, redis_client, mongodb, clock
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Measure the clock if the store answers now, and begin to beat."""
        self.once()
        self._thread.start()

    def stop(self) -> None:
        """Be gone at once, for whoever counts the workers."""
        self._ended.set()
        with contextlib.suppress(redis.RedisError):
            presence.leave(self._redis, self._name)

    def once(self) -> None:
        """Beat once."""
        if self._clock.is_due():
            with contextlib.suppress(PyMongoError):
                self._clock.measure(lambda: self._mongodb.admin.command("hello"))
        with contextlib.suppress(redis.RedisError):
            presence.beat(self._redis, self._name)

    def _run(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self.once()

"""The ringer: never in a caller's way, never silenced for good."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import redis

from ingest.ringer import Ringer

NOW = datetime(2019, 4, 8, 17, 38, 57, tzinfo=UTC)


class Bells:
    """Bells that note who was rung for, and fail or hang on demand."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, str, str]] = []
        self.asked = 0
        self.error: Exception | None = None
        self.free = threading.Event()
        self.free.set()

    def ask(self, queue: str, organization_id: str, imports: list[tuple[str, datetime]], /) -> None:
        """Ring."""
        self.asked += 1
        self.free.wait(10)
        if self.error is not None:
            raise self.error
        self.rung += [(queue, organization_id, import_id) for import_id, _ in imports]


def document(import_id: str) -> dict[str, Any]:
    """Return what the ringer needs of an import."""
    return {"_id": import_id, "organization_id": "o", "created_at": NOW}


def soon(happens: Callable[[], bool]) -> bool:
    """Wait, for ten seconds at most, until something is so."""
    end = time.monotonic() + 10
    while not happens() and time.monotonic() < end:
        time.sleep(0.01)
    return happens()


def test_imports_are_rung_for_in_their_order() -> None:
    """Who came first is rung for first; stopping rings for what is in hand."""
    bells = Bells()
    ringer = Ringer(bells)
    for n in range(50):
        ringer.ring("fetch", document(str(n)))
    ringer.start()
    ringer.stop(seconds=10)
    assert bells.rung == [("fetch", "o", str(n)) for n in range(50)]


def test_a_redis_that_hangs_keeps_no_caller_waiting() -> None:
    """More imports than the queue holds are taken while the bell hangs; what is too much is dropped."""
    bells = Bells()
    bells.free.clear()
    ringer = Ringer(bells, capacity=10)
    ringer.start()
    ringer.ring("fetch", document("first"))
    assert soon(lambda: bells.asked == 1)
    for n in range(1_000):
        ringer.ring("fetch", document(str(n)))
    bells.free.set()
    ringer.stop(seconds=10)
    assert [import_id for _, _, import_id in bells.rung] == ["first", *(str(n) for n in range(10))]


def test_a_redis_that_is_away_is_left_alone_for_a_while_and_then_tried_again() -> None:
    """One failure stops the tries for the pause; afterwards the bell rings as before."""
    bells = Bells()
    bells.error = redis.ConnectionError("away")
    ringer = Ringer(bells, pause=0.5)
    ringer.start()
    for n in range(20):
        ringer.ring("fetch", document(str(n)))
    assert soon(ringer._waiting.empty)
    assert bells.asked == 1
    bells.error = None
    time.sleep(0.6)
    ringer.ring("fetch", document("after"))
    ringer.stop(seconds=10)
    assert bells.rung == [("fetch", "o", "after")]


def test_an_odd_failure_does_not_end_the_ringing() -> None:
    """Whatever the bell raises, the thread lives on."""
    bells = Bells()
    bells.error = ValueError("odd")
    ringer = Ringer(bells, pause=0.0)
    ringer.start()
    ringer.ring("fetch", document("odd"))
    assert soon(lambda: bells.asked == 1)
    bells.error = None
    ringer.ring("fetch", document("next"))
    ringer.stop(seconds=10)
    assert bells.rung == [("fetch", "o", "next")]

"""The background dispatcher: never in a caller's way, never silenced for good, one call for many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import redis

from ingest.background_dispatch import BackgroundDispatcher, Work

NOW = datetime(2019, 4, 8, 17, 38, 57, tzinfo=UTC)


class Queue:
    """A queue that notes what was dispatched by which call, and fails or hangs on demand."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.asked = 0
        self.at_once = 0
        self.error: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()

    @property
    def dispatched(self) -> list[str]:
        return [document_id for call in self.calls for document_id in call]

    async def enqueue(self, stage: str, work: Iterable[Work], /) -> None:
        """Take work."""
        assert stage == "fetch"
        self.asked += 1
        self.at_once += 1
        assert self.at_once == 1, "one call at a time"
        try:
            await self.free.wait()
            if self.error is not None:
                raise self.error
            self.calls.append([document_id for _, document_id, _ in work])
        finally:
            self.at_once -= 1


def document(import_id: str) -> dict[str, Any]:
    """Return what the dispatcher needs of an import."""
    return {"_id": import_id, "organization_id": "o", "created_at": NOW}


def run(scenario: Callable[[Queue], Awaitable[None]]) -> None:
    """Run a scenario on a loop of its own."""

    async def with_queue() -> None:
        await scenario(Queue())

    asyncio.run(with_queue())


def test_work_is_dispatched_in_its_order_and_what_came_meanwhile_in_one_call() -> None:
    """The first leaves at once by itself; what comes while it is under way leaves together behind it."""

    async def scenario(queue: Queue) -> None:
        queue.free.clear()
        dispatcher = BackgroundDispatcher(queue)
        dispatcher.enqueue("fetch", document("0"))
        await asyncio.sleep(0.01)
        for n in range(1, 50):
            dispatcher.enqueue("fetch", document(str(n)))
        queue.free.set()
        await dispatcher.stop(seconds=10)
        assert queue.calls == [["0"], [str(n) for n in range(1, 50)]]

    run(scenario)


def test_what_is_asked_for_names_stage_organization_and_time() -> None:
    """All that a worker's queue needs to know."""

    async def scenario(queue: Queue) -> None:
        seen: list[tuple[str, list[Work]]] = []

        class Noting:
            async def enqueue(self, stage: str, work: Iterable[Work], /) -> None:
                seen.append((stage, list(work)))

        dispatcher = BackgroundDispatcher(Noting())
        dispatcher.enqueue("expand", document("g"))
        await dispatcher.stop(seconds=10)
        assert seen == [("expand", [("o", "g", NOW)])]

    run(scenario)


def test_a_redis_that_hangs_keeps_no_caller_waiting() -> None:
    """More work than there is room for is taken while the queue hangs; what is too much is dropped."""

    async def scenario(queue: Queue) -> None:
        queue.free.clear()
        dispatcher = BackgroundDispatcher(queue, capacity=10)
        dispatcher.enqueue("fetch", document("first"))
        await asyncio.sleep(0.01)
        for n in range(1_000):
            dispatcher.enqueue("fetch", document(str(n)))
        queue.free.set()
        await dispatcher.stop(seconds=10)
        assert queue.dispatched == ["first", *(str(n) for n in range(10))]

    run(scenario)


def test_a_redis_that_is_away_is_left_alone_for_a_while_and_then_tried_again() -> None:
    """One failure opens the breaker for its pause; afterwards work is dispatched as before."""

    async def scenario(queue: Queue) -> None:
        queue.error = redis.ConnectionError("away")
        dispatcher = BackgroundDispatcher(queue, pause=0.5)
        for n in range(20):
            dispatcher.enqueue("fetch", document(str(n)))
        await asyncio.sleep(0.05)
        dispatcher.enqueue("fetch", document("too soon"))
        await asyncio.sleep(0.05)
        assert queue.asked == 1
        queue.error = None
        await asyncio.sleep(0.6)
        dispatcher.enqueue("fetch", document("after"))
        await dispatcher.stop(seconds=10)
        assert queue.dispatched == ["after"]

    run(scenario)


def test_an_error_that_nobody_expected_does_not_silence_it() -> None:
    """Whatever a call raises, the next one is made."""

    async def scenario(queue: Queue) -> None:
        queue.error = ValueError("odd")
        dispatcher = BackgroundDispatcher(queue, pause=0.0)
        dispatcher.enqueue("fetch", document("odd"))
        await asyncio.sleep(0.01)
        queue.error = None
        dispatcher.enqueue("fetch", document("next"))
        await dispatcher.stop(seconds=10)
        assert queue.dispatched == ["next"]

    run(scenario)


def test_a_stop_does_not_wait_for_a_redis_that_is_silent() -> None:
    """Its time is up after the seconds it was given."""

    async def scenario(queue: Queue) -> None:
        queue.free.clear()
        dispatcher = BackgroundDispatcher(queue)
        dispatcher.enqueue("fetch", document("held"))
        await asyncio.sleep(0.01)
        await asyncio.wait_for(dispatcher.stop(seconds=0.05), 5)
        assert queue.at_once == 0

    run(scenario)

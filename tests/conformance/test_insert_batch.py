"""Concurrent inserts share a round trip, and each caller hears of its own document alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pymongo
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import ConnectionFailure, DocumentTooLarge, DuplicateKeyError, PyMongoError
from pymongo.monitoring import CommandListener

from common.documents import insert_batch
from common.documents.database import Document, database, door_database
from common.documents.insert_batch import InsertBatch
from tests.stores import free_port


class Sent(CommandListener):
    """Notes how many documents each insert command carried."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def started(self, event: Any) -> None:
        if event.command_name == "insert":
            self.batches.append(len(event.command["documents"]))

    def succeeded(self, event: Any) -> None:
        """Nothing to note."""

    def failed(self, event: Any) -> None:
        """Nothing to note."""


def run(url: str, scenario: Callable[[InsertBatch, Sent], Awaitable[None]]) -> list[int]:
    """Run a scenario on a real store; return how many documents each command carried."""
    sent = Sent()

    async def connected() -> None:
        client: AsyncMongoClient[Document] = AsyncMongoClient(
            url, event_listeners=[sent], serverSelectionTimeoutMS=500, w="majority", journal=True
        )
        async with client:
            await scenario(InsertBatch(door_database(client).imports), sent)

    asyncio.run(connected())
    return sent.batches


def kept(url: str) -> set[str]:
    """Return the ids that the store has."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        return {one["_id"] for one in database(client).imports.find({}, {"_id": 1})}


def test_what_comes_while_one_is_under_way_leaves_together(mongodb_url: str) -> None:
    """The first leaves at once by itself, sixty-three more in one command behind it; all are durable."""

    async def scenario(batch: InsertBatch, _sent: Sent) -> None:
        first = asyncio.create_task(batch.insert({"_id": "0"}))
        await asyncio.sleep(0)  # it has asked
        await asyncio.sleep(0)  # its command is made
        await asyncio.gather(first, *(batch.insert({"_id": str(n)}) for n in range(1, 64)))

    assert run(mongodb_url, scenario) == [1, 63]
    assert kept(mongodb_url) == {str(n) for n in range(64)}


def test_an_idle_store_is_asked_at_once(mongodb_url: str) -> None:
    """One after the other, each is a command of its own: nobody waits for company."""

    async def scenario(batch: InsertBatch, _sent: Sent) -> None:
        for n in range(3):
            await batch.insert({"_id": str(n)})

    assert run(mongodb_url, scenario) == [1, 1, 1]


def test_each_hears_of_its_own_error(mongodb_url: str) -> None:
    """A duplicate and a document too large fail their own callers; the neighbours are written."""
    huge = {"_id": "huge", "x": "x" * insert_batch.LARGEST_DOCUMENT}

    async def scenario(batch: InsertBatch, _sent: Sent) -> None:
        await batch.insert({"_id": "there"})
        documents: list[Document] = [{"_id": "a"}, {"_id": "there"}, huge, {"_id": "b"}, {"_id": "there"}]
        outcomes = await asyncio.gather(*(batch.insert(one) for one in documents), return_exceptions=True)
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [type(None), DuplicateKeyError, DocumentTooLarge, type(None), DuplicateKeyError]

    run(mongodb_url, scenario)
    assert kept(mongodb_url) == {"there", "a", "b"}


def test_a_caller_that_gives_up_takes_nobody_s_document_along(mongodb_url: str) -> None:
    """Canceled while its batch is under way or collecting: the others are answered."""

    async def scenario(batch: InsertBatch, _sent: Sent) -> None:
        tasks = [asyncio.create_task(batch.insert({"_id": str(n)})) for n in range(10)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[9].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes[1:9] == [None] * 8
        await batch.insert({"_id": "after"})

    run(mongodb_url, scenario)
    assert {*(str(n) for n in range(1, 9)), "after"} <= kept(mongodb_url)


def test_many_large_documents_do_not_leave_together(mongodb_url: str) -> None:
    """A batch is bounded in bytes, so that small documents wait for few large ones."""
    large = "x" * (insert_batch.MOST_BYTES // 2 - 100)

    async def scenario(batch: InsertBatch, _sent: Sent) -> None:
        await asyncio.gather(*(batch.insert({"_id": str(n), "x": large}) for n in range(5)))

    assert run(mongodb_url, scenario) == [2, 2, 1]


def test_a_store_that_is_away_is_told_to_everyone() -> None:
    """Each caller gets the error, and the next batch is tried anew."""
    url = f"mongodb://127.0.0.1:{free_port()}/imports?retryWrites=false"

    async def scenario(batch: InsertBatch, _sent: Sent) -> None:
        for _ in range(2):
            outcomes = await asyncio.gather(
                *(batch.insert({"_id": str(n)}) for n in range(5)), return_exceptions=True
            )
            assert all(isinstance(outcome, ConnectionFailure) for outcome in outcomes)

    run(url, scenario)


def test_an_error_of_many_keeps_a_short_traceback() -> None:
    """The one error that a whole batch shares does not grow with each caller that is told."""
    url = f"mongodb://127.0.0.1:{free_port()}/imports?retryWrites=false"

    def length(error: BaseException) -> int:
        at, frames = error.__traceback__, 0
        while at is not None:
            at, frames = at.tb_next, frames + 1
        return frames

    async def scenario(batch: InsertBatch, _sent: Sent) -> None:
        async def told(n: int) -> int:
            try:
                await batch.insert({"_id": str(n)})
            except PyMongoError as error:
                return length(error)
            return 0

        lengths = await asyncio.gather(*(told(n) for n in range(50)))
        assert 0 < max(lengths) < 5

    run(url, scenario)


@pytest.mark.parametrize("document", [{"_id": "a", "x": 2**70}, {"_id": "a", "x\0": 1}])
def test_what_cannot_be_encoded_is_its_own_caller_s(mongodb_url: str, document: Document) -> None:
    """It never reaches a batch."""

    async def scenario(batch: InsertBatch, _sent: Sent) -> None:
        outcomes = await asyncio.gather(
            batch.insert(document), batch.insert({"_id": "b"}), return_exceptions=True
        )
        assert isinstance(outcomes[0], Exception)
        assert outcomes[1] is None

    run(mongodb_url, scenario)
    assert kept(mongodb_url) == {"b"}

"""Write the documents of concurrent requests in one call, as a database commits a group of transactions.

One batch is on its way to the store and one is collecting what comes meanwhile. A document that comes while the
store is idle leaves at once and by itself, so nobody waits for company; under load a round trip, a commit and a
sync of the journal serve many. Each caller hears of its own document when that is durable, and of its own error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    PyMongoError,
    WriteConcernError,
    WriteError,
)

from common.documents.database import Document

MOST_DOCUMENTS = 500
MOST_BYTES = (
    4 * 2**20
)  # of a batch, beyond its first document: small ones are not to wait for many large ones
LARGEST_DOCUMENT = 16 * 2**20  # bytes, for MongoDB
_DUPLICATE_KEY = 11_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A document, encoded, and the future by which its caller hears what became of it: None, or the error."""

    encoded: bytes
    outcome: asyncio.Future[PyMongoError | None]


class InsertBatch:
    """Inserts into one collection. All its callers live on one loop."""

    def __init__(self, collection: AsyncCollection[Document]) -> None:
        self._collection: AsyncCollection[Any] = collection
        self._collecting: list[_Waiting] = []
        self._flushing: asyncio.Task[None] | None = None

    async def insert(self, document: Document) -> None:
        """Write a document durably. Raises what `insert_one` raises, for this document alone.

        After a lost connection it is written a second time, so DuplicateKeyError may mean the document itself.
        """
        encoded = bson.encode(document)
        if len(encoded) > LARGEST_DOCUMENT:
            raise DocumentTooLarge(f"BSON document too large ({len(encoded)} bytes)")
        waiting = _Waiting(encoded, asyncio.get_running_loop().create_future())
        self._collecting.append(waiting)
        if self._flushing is None:
            # In a task of its own: a caller that gives up must not take the others' documents with it,
            # and what it logs is not about the request that happened to be first.
            self._flushing = asyncio.create_task(self._flush(), context=Context())
        if (error := await waiting.outcome) is not None:
            # One error may be that of many callers, each of which would otherwise lengthen its traceback.
            raise error.with_traceback(None)

    async def _flush(self) -> None:
        try:
            while batch := self._next():
                outcomes = await self._written([one.encoded for one in batch])
                for waiting, outcome in zip(batch, outcomes, strict=True):
                    if not waiting.outcome.done():
                        waiting.outcome.set_result(outcome)
        finally:
            self._flushing = None

    def _next(self) -> list[_Waiting]:
        """Take the next batch out of what was collected; nobody waits any more for some of it."""
        wanted = [one for one in self._collecting if not one.outcome.done()]
        count, size = 0, 0
        for waiting in wanted[:MOST_DOCUMENTS]:
            size += len(waiting.encoded)
            if count and size > MOST_BYTES:
                break
            count += 1
        self._collecting = wanted[count:]
        return wanted[:count]

    async def _written(self, encoded: Iterable[bytes]) -> list[PyMongoError | None]:
        """Write a batch; return for each document None, or why it was not written."""
        documents = [RawBSONDocument(one) for one in encoded]
        outcomes: list[PyMongoError | None] = [None] * len(documents)
        try:
            try:
                await self._collection.insert_many(documents, ordered=False)
            except ConnectionFailure:
                # The write may have landed with its reply lost; the same ids cannot be written twice.
                await self._collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if concern := error.details["writeConcernErrors"]:
                outcomes = [WriteConcernError(concern[0].get("errmsg", ""), concern[0].get("code"))] * len(
                    documents
                )
            for one in error.details["writeErrors"]:
                kind = DuplicateKeyError if one["code"] == _DUPLICATE_KEY else WriteError
                outcomes[one["index"]] = kind(one["errmsg"], one["code"], one)
        except PyMongoError as error:
            outcomes = [error] * len(documents)
        return outcomes

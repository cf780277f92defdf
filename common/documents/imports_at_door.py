"""Write an import down and look one up: all that the door does with imports.

An insertion meets another document only where that one is itself, written by a try whose reply was lost, or
the import that an earlier request with the same idempotency key made.
"""

from __future__ import annotations

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, DuplicateKeyError

from common.documents.database import Document
from common.documents.insert_batch import InsertBatch

_INSERTIONS = 3  # a key that is forgotten between an insertion and its look is met once, if ever


class ImportsAtDoor:
    """The door's side. Raises ConnectionFailure where MongoDB is away."""

    def __init__(self, db: AsyncDatabase[Document]) -> None:
        self._imports = db.imports
        self._batch = InsertBatch(db.imports)

    async def insert(self, document: Document) -> Document:
        """Write an import durably and return it, or the one that came with the same idempotency key before.

        Safe to repeat: its id is made by us, so a second writing finds it there.
        """
        for _ in range(_INSERTIONS):
            try:
                await self._batch.insert(document)
            except DuplicateKeyError:
                there = await self._in_the_way(document)
                if there is not None:
                    return there
            else:
                return document
        raise AutoReconnect("An idempotency key was forgotten again and again while it was looked up.")

    async def _in_the_way(self, document: Document) -> Document | None:
        """Return what an insertion met: itself, or the import of its key. None: that key has just been forgotten."""
        key = document.get("idempotency_key")
        if key is None:
            return document
        # Itself first: where its own key was forgotten meanwhile, it is nevertheless written.
        if await self._imports.find_one({"_id": document["_id"]}, {"_id": 1}) is not None:
            return document
        return await self._imports.find_one({"idempotency_key": key})

    async def find(self, import_id: str) -> Document | None:
        """Return one import, of whichever organization: whoever asks compares."""
        return await self._imports.find_one({"_id": import_id})

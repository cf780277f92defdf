"""Open MongoDB and make its indexes.

Writes are acknowledged by a majority and journaled, for a 2xx answer rests on them. The driver repeats one whose answer
was lost, unless the URL says `retryWrites=false`, as that of the embedded server does. Where we repeat them ourselves it is
for longer than the driver does, or to learn whether a change of our own is in place; all are harmless when they land twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pymongo import AsyncMongoClient, IndexModel, MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.errors import ConnectionFailure
from pymongo.server_api import ServerApi

from common.display import SHOWN_CHARACTERS
from common.documents.cancel_safe import make_waits_cancel_safe

Document = dict[str, Any]
Result = TypeVar("Result")

_ACKNOWLEDGED: dict[str, Any] = {
    "w": "majority",
    "journal": True,
    "tz_aware": True,
    "connect": False,
    "server_api": ServerApi("1"),  # what is asked under it: docs/reference/mongodb.md
}
DOOR_TIMEOUT_MS = 1_500  # with MongoDB away, a request is answered 503 well within two seconds
DOOR_CONNECTIONS = 50
WORKER_TIMEOUT_MS = 10_000


def beginning_of(field: str, characters: int = SHOWN_CHARACTERS) -> Document:
    """Return the projection of the beginning of a text, cut by the server; empty where there is none.

    It is one character longer than what is shown, so that whoever shows it can say that it was cut.
    """
    return {"$substrCP": [f"${field}", 0, characters + 1]}


def connect(url: str) -> MongoClient[Document]:
    """Open the client of a worker, the sweeper or an operator: patient, but nothing waits for ever."""
    return MongoClient(
        url,
        serverSelectionTimeoutMS=3_000,
        connectTimeoutMS=3_000,
        socketTimeoutMS=WORKER_TIMEOUT_MS,
        appname="import-api",
        **_ACKNOWLEDGED,
    )


def connect_door(url: str) -> AsyncMongoClient[Document]:
    """Open the client of the door, where one deadline covers selection, connection and the answer."""
    make_waits_cancel_safe()
    return AsyncMongoClient(
        url,
        timeoutMS=DOOR_TIMEOUT_MS,
        serverSelectionTimeoutMS=DOOR_TIMEOUT_MS,
        connectTimeoutMS=1_000,
        maxPoolSize=DOOR_CONNECTIONS,
        appname="import-api-door",
        **_ACKNOWLEDGED,
    )


def database(client: MongoClient[Document]) -> Database[Document]:
    """Return the database that the URL names."""
    return client.get_default_database()


def door_database(client: AsyncMongoClient[Document]) -> AsyncDatabase[Document]:
    """Return the database that the URL names."""
    return client.get_default_database()


_OPEN = {"due_at": {"$exists": True}}
_FAILED = {"error.code": {"$exists": True}}
_GROUPED = {"group_id": {"$exists": True}}  # single imports are not in the indexes of groups

# `due_at` and `open.*` exist only while an import is open, so these sparse indexes stay as small as the work at hand,
# whatever the collection grows to.
INDEXES: tuple[tuple[str, IndexModel], ...] = (
    ("imports", IndexModel("due_at", sparse=True)),
    ("imports", IndexModel("open.fetch", sparse=True)),
    ("imports", IndexModel("open.render", sparse=True)),
    ("imports", IndexModel("created_at")),
    ("imports", IndexModel([("organization_id", 1), ("created_at", 1)])),
    ("imports", IndexModel([("status", 1), ("created_at", 1)])),
    ("imports", IndexModel([("error.code", 1), ("created_at", 1)], partialFilterExpression=_FAILED)),
    ("imports", IndexModel("record_id")),
    ("imports", IndexModel([("group_id", 1), ("status", 1)], partialFilterExpression=_GROUPED)),
    ("imports", IndexModel([("group_id", 1), ("group_position", 1)], partialFilterExpression=_GROUPED)),
    # Where a key was sent only, and unique: this alone makes one import of many repetitions.
    ("imports", IndexModel("idempotency_key", sparse=True, unique=True)),
    ("imports", IndexModel("idempotency_until", sparse=True)),
    ("import_groups", IndexModel("due_at", sparse=True)),
    ("import_groups", IndexModel("open.expand", sparse=True)),
    ("import_groups", IndexModel("canceling", sparse=True)),
    ("import_groups", IndexModel([("organization_id", 1), ("created_at", 1)])),
    ("import_groups", IndexModel("created_at")),
    ("import_groups", IndexModel("status")),
    ("group_skips", IndexModel([("group_id", 1), ("page", 1)])),
    ("images", IndexModel("created_at")),
    ("images", IndexModel([("organization_id", 1), ("created_at", 1)])),
    ("images", IndexModel([("organization_id", 1), ("sha256", 1)])),
    ("rerenders", IndexModel("due_at", sparse=True)),
    ("rerenders", IndexModel([("status", 1), ("due_at", 1)], partialFilterExpression=_OPEN)),
    ("users", IndexModel("organization_id")),
)


def prepare(db: Database[Document]) -> None:
    """Make every index; nothing happens where they are there already."""
    for collection, index in INDEXES:
        db[collection].create_indexes([index])


def missing_indexes(db: Database[Document]) -> list[str]:
    """Return the names of the indexes that are not there, as `collection(field, …)`."""
    there = {
        _index(collection, index)
        for collection in sorted({collection for collection, _ in INDEXES})
        for index in db[collection].list_indexes()
    }
    wanted = {_index(collection, index.document) for collection, index in INDEXES}
    return sorted(f"{collection}({', '.join(fields)})" for collection, fields, _ in wanted - there)


def _index(collection: str, index: Mapping[str, Any]) -> tuple[str, tuple[str, ...], bool]:
    return collection, tuple(index["key"]), bool(index.get("sparse"))


def insist(
    action: Callable[[], Result],
    *,
    seconds: float,
    stopping: threading.Event | None = None,
    pause: float = 0.2,
) -> Result:
    """Try an idempotent action until MongoDB answers, for so many seconds.

    Raises the last ConnectionFailure when time is up or `stopping` is set. Timeouts of the socket count as
    such failures: the write may have landed, which is why only idempotent actions belong here.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return action()
        except ConnectionFailure:
            if time.monotonic() + pause > end or (stopping is not None and stopping.wait(pause)):
                raise
            if stopping is None:
                time.sleep(pause)
            pause = min(pause * 2, 2.0)

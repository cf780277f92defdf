"""Open MongoDB and make its indexes.

Writes are acknowledged by a majority and journaled, for a 2xx answer rests on them. The driver repeats one whose answer
was lost, unless the URL says `retryWrites=false`, as that of the embedded server does. Where we repeat them ourselves it is
for longer than the driver does, or to learn whether a change of our own is in place; all are harmless when they land twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.errors import ConnectionFailure

from common.display import SHOWN_CHARACTERS
from common.documents.cancel_safe import make_waits_cancel_safe

Document = dict[str, Any]
Result = TypeVar("Result")

_ACKNOWLEDGED: dict[str, Any] = {"w": "majority", "journal": True, "tz_aware": True, "connect": False}
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


def prepare(db: Database[Document]) -> None:
    """Make every index; nothing happens where they are there already.

    `due_at` and `open.*` exist only while an import is open, so these sparse indexes stay as small as the
    work at hand, whatever the collection grows to.
    """
    db.imports.create_index("due_at", sparse=True)
    db.imports.create_index("open.fetch", sparse=True)
    db.imports.create_index("open.render", sparse=True)
    db.imports.create_index("created_at")
    db.imports.create_index([("organization_id", 1), ("created_at", 1)])
    db.imports.create_index("status")
    db.imports.create_index("record_id")
    grouped = {"group_id": {"$exists": True}}  # single imports are not in the indexes of groups
    db.imports.create_index([("group_id", 1), ("status", 1)], partialFilterExpression=grouped)
    db.imports.create_index([("group_id", 1), ("group_position", 1)], partialFilterExpression=grouped)
    db.import_groups.create_index("due_at", sparse=True)
    db.import_groups.create_index("open.expand", sparse=True)
    db.import_groups.create_index("canceling", sparse=True)
    db.import_groups.create_index([("organization_id", 1), ("created_at", 1)])
    db.import_groups.create_index("created_at")
    db.import_groups.create_index("status")
    db.group_skips.create_index("group_id")
    # Where a key was sent only, and unique: this alone makes one import of many repetitions.
    db.imports.create_index("idempotency_key", sparse=True, unique=True)
    db.imports.create_index("idempotency_until", sparse=True)
    db.images.create_index("created_at")
    db.images.create_index([("organization_id", 1), ("created_at", 1)])
    db.images.create_index([("organization_id", 1), ("sha256", 1)])
    db.rerenders.create_index("due_at", sparse=True)
    db.users.create_index("organization_id")


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

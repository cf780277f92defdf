"""No list asks the store for what callers sent: with the longest values that the door accepts, replies stay small."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pymongo
import pymongo.monitoring
import pytest

from common.documents import database
from common.documents.database import Document
from common.documents.groups import GroupsAtDoor
from common.documents.images import Images, ImagesAtDoor
from common.documents.imports import Imports
from common.documents.inspection import Inspection
from common.documents.new_imports import accepted
from common.documents.overview import LISTED, Overview, OverviewAtDoor
from tests.doors import image

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LONG = "é" * 120_000  # a body of 1 MiB, in four fields
FEW_BYTES = 128 * 1024  # for 32 documents of a megabyte each
GROUP = "7a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0001"


class Received(pymongo.monitoring.CommandListener):
    """Counts the bytes of the server's replies."""

    def __init__(self) -> None:
        self.bytes = 0

    def started(self, event: pymongo.monitoring.CommandStartedEvent) -> None:
        """Count nothing of what is sent."""

    def succeeded(self, event: pymongo.monitoring.CommandSucceededEvent) -> None:
        """Count a reply."""
        self.bytes += len(bson.encode(event.reply))

    def failed(self, event: pymongo.monitoring.CommandFailedEvent) -> None:
        """Count nothing of a failure."""


def _import(number: int) -> Document:
    sent = accepted(
        str(uuid.UUID(int=number)),
        organization_id="o",
        user_id="u",
        params=json.dumps({"filename": LONG}),
        import_type="salesforce",
        album_id=LONG,
        filename=LONG,
        metadatas=json.dumps(LONG, ensure_ascii=False),
        source_type="salesforce",
        record_id="00P4I00000zyw3eUAA",
        request_id="r",
        now=NOW - timedelta(seconds=number),
        due_in=0,
    )
    # A child of a group has parameters of our making, so they alone may be shown on its page.
    return {**sent, "group_id": GROUP, "group_position": number}


@pytest.fixture
def full(mongodb_url: str) -> Iterator[tuple[str, pymongo.MongoClient[Document], Received]]:
    """A database with 32 imports and images of a megabyte each, and a client that counts what it receives."""
    received = Received()
    with pymongo.MongoClient(mongodb_url, tz_aware=True, event_listeners=[received]) as client:
        db = database.database(client)
        database.prepare(db)
        for number in range(32):
            db.imports.insert_one(_import(number))
            db.images.insert_one(
                {
                    **image(str(uuid.UUID(int=number))),
                    "_id": str(uuid.UUID(int=number)),
                    "filename": LONG,
                    "album_id": LONG,
                    "metadatas": LONG,
                }
            )
        yield mongodb_url, client, received


Full = tuple[str, "pymongo.MongoClient[Document]", Received]


LISTS: dict[str, Callable[[Any], Any]] = {
    "imports list": lambda db: list(Overview(db).latest(match={}, limit=32, now=NOW, fields=LISTED)),
    "imports retry": lambda db: list(Overview(db).latest(match={}, limit=32, now=NOW)),
    "the sweeper, due": lambda db: Imports(db).find_due(now=NOW, limit=500),
    "the sweeper, lost": lambda db: Imports(db).find_many(str(uuid.UUID(int=n)) for n in range(32)),
    "cancelling": lambda db: Imports(db).open_in_group(GROUP, limit=200),
    "imports rerender": lambda db: Images(db).after("", {}, limit=500),
    "imports verify": lambda db: [one for page in Inspection(db).imports() for one in page],
    "imports verify, images": lambda db: [one for page in Inspection(db).images() for one in page],
}


def test_no_list_receives_what_callers_sent(full: Full) -> None:
    """A list of 32 imports, each as large as a body may be, is read in 128 kB: whoever lists needs no more."""
    _, client, received = full
    for name, listed in LISTS.items():
        received.bytes = 0
        assert len(listed(database.database(client))) >= 30, name
        assert received.bytes < FEW_BYTES, name


def test_the_door_receives_no_more_than_it_shows(full: Full) -> None:
    """The dashboard's imports come with the beginning of a name, a file without the metadata, a child without copies."""
    received = Received()

    async def look() -> tuple[list[Document], Document | None, list[Document]]:
        client: pymongo.AsyncMongoClient[Document] = pymongo.AsyncMongoClient(
            full[0], tz_aware=True, event_listeners=[received]
        )
        async with client:
            db = database.door_database(client)
            latest = await OverviewAtDoor(db).latest(limit=32, now=NOW)
            stored = await ImagesAtDoor(db).find_file(str(uuid.UUID(int=1)))
            shown = received.bytes
            children = await GroupsAtDoor(db).children(GROUP, start=0, limit=200)
            received.bytes = shown  # their parameters are shown
            return latest, stored, children

    latest, stored, children = asyncio.run(look())
    assert [one["_id"] for one in latest] == [str(uuid.UUID(int=number)) for number in range(32)]
    assert all(LONG.startswith(one["filename"]) and len(one["filename"]) > 50 for one in latest)
    assert stored is not None
    assert stored["thumbnails"]
    assert received.bytes < FEW_BYTES
    assert len(children) == 32
    assert not {"filename", "metadatas", "history"} & children[0].keys()

"""Idempotency keys on a real document store: one import of many repetitions, whatever breaks in between."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from common.documents.database import Document, connect, connect_door, database, door_database, prepare
from common.documents.imports import Imports
from common.documents.imports_at_door import ImportsAtDoor
from common.documents.new_imports import Once, accepted
from common.tokens import Claims
from ingest.accept import Accepted, accept
from ingest.auth import Identity
from ingest.errors import KeyReusedError
from ingest.idempotency import digest
from ingest.params import frozen

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PARAMS = {"attachment_id": "00P4I00000zyw3eUAA", "controller": "api/v1/imports", "action": "create"}
LASTING = timedelta(hours=1)


class Ledger:
    """One document store, and doors that are opened on it for one test step each."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = connect(url)
        self.db = database(self.client)
        prepare(self.db)
        self.rung: list[str] = []

    def at_door(self, work: Callable[[ImportsAtDoor], Coroutine[Any, Any, Any]]) -> Any:
        async def opened() -> Any:
            async with connect_door(self.url) as client:
                return await work(ImportsAtDoor(door_database(client)))

        return asyncio.run(opened())

    async def post(self, door: Any, params: dict[str, Any] = PARAMS, *, key: str | None = "k") -> Accepted:
        def once(now: datetime) -> Once:
            assert key is not None
            return Once(key, digest(params), now + LASTING)

        return await accept(
            params,
            Identity(user_id="user", organization_id="org", claims=Claims("user", None, None, {})),
            echo=frozen(params),
            imports=door,
            enqueue=lambda _queue, document: self.rung.append(document["_id"]),
            clock=lambda: NOW,
            new_id=lambda: str(uuid.uuid4()),
            request_id="r",
            once=None if key is None else once,
        )

    def count(self) -> int:
        return self.db.imports.count_documents({})


@pytest.fixture
def ledger(mongodb_url: str) -> Iterator[Ledger]:
    ledger = Ledger(mongodb_url)
    yield ledger
    ledger.client.close()


def test_concurrent_repetitions_make_one_import(ledger: Ledger) -> None:
    """Twenty at once: one is written and rung for, every answer shows it."""

    async def race(door: ImportsAtDoor) -> list[Accepted]:
        return await asyncio.gather(*(ledger.post(door) for _ in range(20)))

    answers = ledger.at_door(race)
    assert len({answer.document["_id"] for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert (ledger.count(), len(ledger.rung)) == (1, 1)


def test_imports_without_a_key_do_not_meet(ledger: Ledger) -> None:
    """The unique index knows only documents that have a key: old clients' imports never collide."""

    async def two(door: ImportsAtDoor) -> None:
        for _ in range(2):
            await ledger.post(door, key=None)

    ledger.at_door(two)
    assert ledger.count() == 2


def test_a_repetition_after_a_crash_finds_the_import(ledger: Ledger) -> None:
    """The door died between the write and the answer: another process, later, is answered with that import."""
    first = ledger.at_door(ledger.post)
    ledger.db.imports.update_one({"_id": first.document["_id"]}, {"$set": {"status": "succeeded"}})
    again = ledger.at_door(ledger.post)
    assert again.replayed
    assert (again.document["_id"], again.document["status"]) == (first.document["_id"], "succeeded")


def test_a_write_whose_reply_is_lost_is_no_replay(ledger: Ledger) -> None:
    """The insertion lands, its reply does not: the second try finds the request's own import, and rings."""

    async def losing(door: ImportsAtDoor) -> Accepted:
        collection: Any = door._imports
        insert_one = collection.insert_one
        lost: list[Document] = []

        class Losing:
            find_one = collection.find_one

            async def insert_one(self, document: Document) -> None:
                await insert_one(document)
                if not lost:
                    lost.append(document)
                    raise AutoReconnect("the reply was lost")

        door._imports = Losing()  # type: ignore[assignment]
        return await ledger.post(door)

    answer = ledger.at_door(losing)
    assert not answer.replayed
    assert (ledger.count(), ledger.rung) == (1, [answer.document["_id"]])


def test_another_request_under_the_key_is_refused(ledger: Ledger) -> None:
    """Nothing of it is written."""
    ledger.at_door(ledger.post)
    with pytest.raises(KeyReusedError):
        ledger.at_door(lambda door: ledger.post(door, {**PARAMS, "album_id": "b"}))
    assert ledger.count() == 1


def test_a_key_that_is_forgotten_while_it_is_looked_up_is_taken_anew(ledger: Ledger) -> None:
    """The sweeper comes between the collision and the look: the request is then simply the first."""

    async def raced(door: ImportsAtDoor) -> Accepted:
        await ledger.post(door)
        collection: Any = door._imports

        class Forgetful:
            insert_one = collection.insert_one

            async def find_one(self, wanted: Document, *rest: Any) -> Document | None:
                if "idempotency_key" in wanted:
                    Imports(ledger.db).forget_keys(now=NOW + 2 * LASTING, limit=10)
                found: Document | None = await collection.find_one(wanted, *rest)
                return found

        door._imports = Forgetful()  # type: ignore[assignment]
        return await ledger.post(door)

    assert not ledger.at_door(raced).replayed
    assert ledger.count() == 2


def test_keys_are_forgotten_in_bounded_work_and_imports_stay(ledger: Ledger) -> None:
    """At most as many as asked for, only those whose time is over; what is left of them is a plain import."""
    imports = Imports(ledger.db)
    for number in range(7):
        once = Once(f"k{number}", "d", NOW + timedelta(minutes=number))
        ledger.db.imports.insert_one(_import(once))
    now = NOW + timedelta(minutes=4, seconds=30)
    assert [imports.forget_keys(now=now, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    kept = {one["idempotency_key"] for one in ledger.db.imports.find({"idempotency_key": {"$exists": True}})}
    assert kept == {"org:k5", "org:k6"}
    plain = ledger.db.imports.find_one({"idempotency_key": {"$exists": False}})
    assert plain is not None
    assert set(plain) == set(_import(None))
    assert ledger.count() == 7


def _import(once: Once | None) -> Document:
    return accepted(
        str(uuid.uuid4()),
        organization_id="org",
        user_id="user",
        params="{}",
        import_type=None,
        album_id=None,
        filename=None,
        metadatas=None,
        source_type="salesforce",
        record_id="00P4I00000zyw3eUAA",
        request_id=None,
        now=NOW,
        due_in=5,
        once=once,
    )

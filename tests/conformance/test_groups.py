"""Groups on a real document store: claimed, counted, paged, canceled; and their children, never twice."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from common.documents.claims import Claim, LostClaimError
from common.documents.clock import StoreClock
from common.documents.database import Document, connect, connect_door, database, door_database, prepare
from common.documents.groups import EXPAND, Groups, GroupsAtDoor, child_id_of, new_group
from common.documents.imports import Imports
from common.documents.statuses import STATUSES
from common.queue.broker import door_client
from common.queue.dispatch import Dispatcher, Requests
from workers.cancellations import STRAGGLERS, Cancellations
from workers.children import Children
from workers.sources.record import ListedRecord
from workers.stages.expand import Counts, Known

CASE = "5005800000HEXCtAAP"


class Shelf:
    """Both sides of groups on one database."""

    def __init__(self, mongodb_url: str, redis_url: str) -> None:
        self.mongodb, self.url = connect(mongodb_url), mongodb_url
        self.db = database(self.mongodb)
        prepare(self.db)
        self.clock = StoreClock()
        self.imports, self.groups = Imports(self.db), Groups(self.db)
        self.redis = door_client(redis_url)
        self.dispatcher = Dispatcher(
            self.redis, Requests(per_organization=2, now=lambda: self.clock().timestamp())
        )

    def put(self) -> Document:
        group = new_group(
            str(uuid.uuid4()),
            organization_id="org",
            user_id="user",
            request_id=None,
            album_id=CASE,
            source_type="salesforce",
            options={"created_since": None, "max_bytes": None, "kinds": None, "include_emails": True},
            now=self.clock(),
            due_in=5,
        )
        self.db.import_groups.insert_one(group)
        return group

    def claim(self, group: Document) -> Claim:
        seen = self.groups.find(group["_id"])
        assert seen is not None
        claim = self.groups.claim(seen, EXPAND, owner="w", now=self.clock(), lease=15)
        assert claim is not None
        return claim

    def children(self, claim: Claim) -> Children:
        return Children(
            claim, imports=self.imports, groups=self.groups, stored=lambda _: False, clock=self.clock
        )

    def at_door(self, ask: Any) -> Any:
        """Ask as the door does."""

        async def run() -> Any:
            client = connect_door(self.url)
            try:
                return await ask(GroupsAtDoor(door_database(client)))
            finally:
                await client.close()

        return asyncio.run(run())

    def close(self) -> None:
        self.mongodb.close()
        self.redis.close()


@pytest.fixture
def shelf(mongodb_url: str, redis_url: str) -> Iterator[Shelf]:
    shelf = Shelf(mongodb_url, redis_url)
    yield shelf
    shelf.close()


def record(number: int) -> ListedRecord:
    return ListedRecord(
        record_id=f"00P{number:012}AAA",
        kind="Attachment",
        name=f"{number}.jpg",
        size=10,
        content_type="image/jpeg",
        md5=None,
        created_at=None,
        parent_id=CASE,
    )


def test_a_child_is_written_once_whoever_lists_the_album(shelf: Shelf) -> None:
    """Its id is made of organization, album and record: a second writer, and a second group, find it there."""
    first, second = (shelf.children(shelf.claim(shelf.put())) for _ in range(2))
    records = [record(number) for number in range(5)]
    assert first.write(records[:3], start=0) == 0
    assert first.write(records[:3], start=0) == 0, "the same call, whose answer was lost"
    assert second.write(records, start=0) == 3
    assert shelf.db.imports.count_documents({}) == 5
    assert set(first.known(records).values()) == {Known.OURS, Known.EXISTING}
    child = shelf.imports.find(child_id_of("org", CASE, records[0].record_id))
    assert child is not None
    assert (child["status"], child["listed"]["size"], child["group_position"]) == ("queued", 10, 0)
    assert child["due_at"] <= shelf.clock() + timedelta(seconds=1)


def test_a_failed_child_is_opened_again(shelf: Shelf) -> None:
    """Asked for again, what failed has its budgets anew and keeps its place in the group that wrote it."""
    first = shelf.children(shelf.claim(shelf.put()))
    first.write([record(0)], start=0)
    seen = shelf.imports.find(child_id_of("org", CASE, record(0).record_id))
    assert seen is not None
    shelf.imports.end(seen, "failed", code="expired", detail="", retryable=True, now=shelf.clock())
    second = shelf.children(shelf.claim(shelf.put()))
    assert second.known([record(0)]) == {record(0).record_id: Known.FAILED}
    second.retry(record(0))
    again = shelf.imports.find(seen["_id"])
    assert again is not None
    assert (again["status"], again["group_id"]) == ("queued", seen["group_id"])


def test_whoever_lost_the_group_writes_nothing_more_of_it(shelf: Shelf) -> None:
    """After a lease that ran out, the first worker's next step tells it that the listing is another's."""
    group = shelf.put()
    first = shelf.claim(group)
    seen = shelf.groups.find(group["_id"])
    assert seen is not None
    later = shelf.clock() + timedelta(seconds=20)
    assert shelf.groups.expire_lease(seen, max_deliveries=5, now=later) is not None
    second = shelf.claim(group)
    with pytest.raises(LostClaimError):
        shelf.children(first).progressed(Counts(1, 1, 0))
    shelf.children(second).progressed(Counts(2, 2, 1))
    shelf.groups.expanded(second, now=shelf.clock())
    kept = shelf.groups.find(group["_id"])
    assert kept is not None
    assert (kept["status"], kept["children"], kept["existing"], kept["deliveries"]) == ("expanded", 2, 1, 1)
    assert "due_at" not in kept


def test_states_are_counted_and_pages_are_cut(shelf: Shelf) -> None:
    """The counts add up to the children; pages hold each once; what was left out is told by the last listing."""
    group = shelf.put()
    claim = shelf.claim(group)
    book = shelf.children(claim)
    book.left_out(0, [("a", "not_an_image")])
    records = [record(number) for number in range(9)]
    book.write(records, start=0)
    book.progressed(Counts(children=9, positions=9))
    shelf.groups.expanded(claim, now=shelf.clock())
    for number, status in enumerate(("fetching", "failed", "succeeded", "succeeded")):
        where = {"_id": child_id_of("org", CASE, records[number].record_id)}
        shelf.db.imports.update_one(where, {"$set": {"status": status}})

    async def ask(door: GroupsAtDoor) -> tuple[Any, ...]:
        kept = await door.find(group["_id"])
        assert kept is not None
        pages = [await door.children(group["_id"], start=start, limit=4) for start in (0, 4, 8)]
        return await door.counts(kept), await door.left_out(kept), pages

    counts, left_out, pages = shelf.at_door(ask)
    assert counts == dict.fromkeys(STATUSES, 0) | {"queued": 5, "fetching": 1, "failed": 1, "succeeded": 2}
    assert left_out == [{"record_id": "a", "code": "not_an_image"}]
    assert [[one["group_position"] for one in page] for page in pages] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


def test_a_canceled_group_takes_its_open_children_along(shelf: Shelf) -> None:
    """The listing loses its claim, open children end, done ones stay; a straggler's child is ended as well."""
    group = shelf.put()
    claim = shelf.claim(group)
    book = shelf.children(claim)
    book.write([record(0), record(1)], start=0)
    done = child_id_of("org", CASE, record(0).record_id)
    shelf.db.imports.update_one({"_id": done}, {"$set": {"status": "succeeded"}, "$unset": {"due_at": ""}})
    canceled = shelf.at_door(lambda door: door.cancel(group["_id"], now=shelf.clock()))
    assert canceled["status"] == "canceled"
    with pytest.raises(LostClaimError):
        book.progressed(Counts(2, 2, 0))
    ahead = timedelta()
    cancellations = Cancellations(
        imports=shelf.imports,
        groups=shelf.groups,
        dispatcher=shelf.dispatcher,
        clock=lambda: shelf.clock() + ahead,
    )
    cancellations.tick()
    book.write([record(2)], start=2)
    cancellations.tick()
    ended = [one["status"] for one in shelf.db.imports.find({}).sort("group_position", 1)]
    assert ended == ["succeeded", "canceled", "canceled"]
    assert shelf.groups.canceling(limit=5)
    ahead = STRAGGLERS + timedelta(seconds=1)
    cancellations.tick()
    assert not shelf.groups.canceling(limit=5)


def test_a_group_that_failed_meanwhile_is_not_canceled(shelf: Shelf) -> None:
    """It fails after the door has looked: it stays failed with its error, and nobody ends its children."""
    group = shelf.put()
    claim = shelf.claim(group)
    shelf.groups.failed(claim, code="attachment_refused", detail="No.", retryable=False, now=shelf.clock())
    answered = shelf.at_door(lambda door: door.cancel(group["_id"], now=shelf.clock()))
    assert (answered["status"], answered["error"]["code"]) == ("failed", "attachment_refused")
    assert not shelf.groups.canceling(limit=5)

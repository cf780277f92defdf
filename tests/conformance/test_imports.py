"""The life of an import, each query on it, on a real document store."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from pymongo.errors import AutoReconnect

from common.documents.claims import Claim, LostClaimError
from common.documents.database import Document, connect, database, prepare
from common.documents.imports import FETCH, RENDER, Imports
from common.documents.new_imports import accepted, refused
from common.documents.statuses import ENDED

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = 15.0
ORIGINAL = {"key": "k", "bytes": 1, "sha256": "s", "content_type": None, "filename": None}


def new(now: datetime = NOW, **fields: Any) -> Document:
    document = accepted(
        str(uuid.uuid4()),
        organization_id="org",
        user_id="user",
        params="{}",
        import_type="salesforce",
        album_id=None,
        filename=None,
        metadatas=None,
        source_type="salesforce",
        record_id="00P4I00000zyw3eUAA",
        request_id=None,
        now=now,
        due_in=5,
    )
    return {**document, **fields}


class Store:
    def __init__(self, url: str) -> None:
        self.client = connect(url)
        self.db = database(self.client)
        prepare(self.db)
        self.imports = Imports(self.db)

    def put(self, document: Document) -> Document:
        self.db.imports.insert_one(document)
        return document

    def get(self, document: Document) -> Document:
        found = self.imports.find(document["_id"])
        assert found is not None
        return found

    def claim(self, document: Document, stage: Any = FETCH, now: datetime = NOW) -> Claim | None:
        return self.imports.claim(self.get(document), stage, owner="w", now=now, lease=LEASE)

    def claimed(self, document: Document, stage: Any = FETCH, now: datetime = NOW) -> Claim:
        claim = self.claim(document, stage, now)
        assert claim is not None
        return claim


@pytest.fixture
def store(mongodb_url: str) -> Iterator[Store]:
    store = Store(mongodb_url)
    yield store
    store.client.close()


def test_the_whole_way(store: Store) -> None:
    """An import passes through its states once each, and its end leaves nothing for anybody to look at."""
    one = store.put(new())
    claim = store.claimed(one)
    assert store.get(one)["status"] == "fetching"
    assert (store.get(one)["fence"], store.get(one)["deliveries"]) == (1, 1)
    store.imports.fetched(claim, original=ORIGINAL, now=NOW, due_in=5)
    assert (store.get(one)["status"], store.get(one)["deliveries"]) == ("fetched", 0)
    claim = store.claimed(one, RENDER)
    store.imports.succeeded(claim, image_id="image", now=NOW + timedelta(seconds=1))
    end = store.get(one)
    assert (end["status"], end["image_id"], end["fence"], end["deliveries"]) == ("succeeded", "image", 2, 0)
    assert "due_at" not in end
    assert "open" not in end
    assert [entry["event"] for entry in end["history"]] == [
        "queued",
        "fetching",
        "fetched",
        "rendering",
        "succeeded",
    ]
    assert end["updated_at"] == NOW + timedelta(seconds=1)


def test_one_claim_wins(store: Store) -> None:
    """However many workers hear the same bell, one of them has the import."""
    one = store.put(new())
    seen, claims, start = store.get(one), [], threading.Barrier(8)

    def claim() -> None:
        start.wait()
        claims.append(store.imports.claim(seen, FETCH, owner="w", now=NOW, lease=LEASE))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in claims) == 1
    assert store.get(one)["deliveries"] == 1


def test_an_early_or_a_late_claim_gets_nothing(store: Store) -> None:
    """A message that comes before the next attempt is due, or after the stage is done, is left."""
    one = store.put(new(not_before=NOW + timedelta(seconds=30)))
    assert store.claim(one) is None
    assert store.claim(one, RENDER) is None
    assert store.claim(one, now=NOW + timedelta(seconds=31)) is not None
    assert store.claim(one, now=NOW + timedelta(seconds=31)) is None


@pytest.mark.parametrize("write", ["fetched", "failed", "given_back", "tried", "waits", "renew"])
def test_a_zombie_writes_nothing(store: Store, write: str) -> None:
    """A worker that was paused beyond its lease finds that none of its writes matches any more."""
    one = store.put(new())
    zombie = store.claimed(one)
    later = NOW + timedelta(seconds=LEASE + 1)
    assert store.imports.expire_lease(store.get(one), max_deliveries=5, now=later) is not None
    store.claimed(one, now=later)
    before = store.get(one)
    writes: dict[str, dict[str, Any]] = {
        "fetched": {"original": ORIGINAL, "due_in": 5},
        "failed": {"code": "c", "detail": "d", "retryable": False},
        "given_back": {},
        "tried": {"code": "c", "delay": 1},
        "waits": {"waiting_for": "x", "code": "c", "look_in": 1, "may_go_early": True},
    }
    if write == "renew":
        assert store.imports.renew(zombie, now=later, lease=LEASE) is False
    else:
        with pytest.raises(LostClaimError):
            getattr(store.imports, write)(zombie, now=later, **writes[write])
    assert store.get(one) == before


def test_only_claims_that_nobody_ended_use_up_deliveries(store: Store) -> None:
    """An outage, a shutdown and a counted failure give the delivery back; a killed worker does not."""
    one = store.put(new())
    store.imports.given_back(store.claimed(one), now=NOW)
    store.imports.tried(store.claimed(one), code="c", delay=1, now=NOW)
    late = NOW + timedelta(seconds=2)
    store.imports.waits(
        store.claimed(one, now=late), waiting_for="x", code="c", look_in=1, may_go_early=True, now=late
    )
    assert (store.get(one)["deliveries"], store.get(one)["attempts"]) == (0, 1)
    assert store.get(one)["stages"]["fetch"]["attempts"] == 1
    for number in range(1, 5):
        store.claimed(one, now=late)
        late += timedelta(seconds=LEASE + 1)
        freed = store.imports.expire_lease(store.get(one), max_deliveries=5, now=late)
        assert freed is not None
        assert freed["status"] == "queued"
        assert store.get(one)["deliveries"] == number
    store.claimed(one, now=late)
    late += timedelta(seconds=LEASE + 1)
    ended = store.imports.expire_lease(store.get(one), max_deliveries=5, now=late)
    assert ended is not None
    assert ended["status"] == "failed"
    assert store.get(one)["error"]["code"] == "worker_killed"
    assert "due_at" not in store.get(one)


def test_a_live_lease_is_not_taken_back(store: Store) -> None:
    """A worker that renews in time keeps its import, however long the work takes."""
    one = store.put(new())
    claim = store.claimed(one)
    stale = store.get(one)
    late = NOW + timedelta(seconds=LEASE + 1)
    assert store.imports.renew(claim, now=late, lease=LEASE)
    assert store.imports.expire_lease(store.get(one), max_deliveries=5, now=late) is None
    assert store.get(one)["due_at"] == late + timedelta(seconds=LEASE)
    # A sweeper that read before the renewal and acts after it changes nothing.
    assert store.imports.expire_lease(stale, max_deliveries=5, now=late) is None
    assert store.imports.renew(claim, now=late, lease=LEASE)


@pytest.mark.parametrize("status", ["canceled", "failed"])
def test_an_end_from_outside_takes_the_claim(store: Store, status: str) -> None:
    """A canceled import is at its end at once; the worker that holds it learns so with its next write."""
    one = store.put(new())
    claim = store.claimed(one)
    ended = store.imports.end(
        store.get(one),
        status,
        code="expired" if status == "failed" else None,
        detail="d",
        retryable=True,
        now=NOW,
    )
    assert ended is not None
    assert not store.imports.renew(claim, now=NOW, lease=LEASE)
    with pytest.raises(LostClaimError):
        store.imports.fetched(claim, original=ORIGINAL, now=NOW, due_in=5)
    assert store.get(one)["status"] == status
    assert (
        store.imports.end(store.get(one), "canceled", code=None, detail="", retryable=False, now=NOW) is None
    )


def test_a_failed_import_is_opened_again_where_its_original_says(store: Store) -> None:
    """A retry begins with fresh budgets, goes on with the fence, and fetches only what is not stored."""
    one = store.put(new())
    store.imports.fetched(store.claimed(one), original=ORIGINAL, now=NOW, due_in=5)
    store.imports.failed(store.claimed(one, RENDER), code="c", detail="d", retryable=True, now=NOW)
    assert store.imports.retried(store.get(one), stored=True, now=NOW) is not None
    again = store.get(one)
    assert (again["status"], again["error"], again["fence"], again["attempts"]) == ("fetched", None, 2, 0)
    assert again["open"] == {"render": NOW}
    assert again["due_at"] == NOW
    store.imports.failed(store.claimed(one, RENDER), code="c", detail="d", retryable=True, now=NOW)
    assert store.imports.retried(store.get(one), stored=False, now=NOW) is not None
    assert store.get(one)["status"] == "queued"
    assert store.get(one)["open"] == {"fetch": NOW}
    assert store.imports.retried(store.get(one), stored=False, now=NOW) is None


def test_a_refused_import_is_recorded_ended(store: Store) -> None:
    """What can never be imported is recorded as failed, waits for nobody, and cannot be retried."""
    one = store.put(refused(new(record_id=None), code="attachment_missing", detail="d"))
    assert store.get(one)["status"] == "failed"
    assert store.imports.find_due(now=NOW + timedelta(days=9), limit=10) == []
    with pytest.raises(ValueError, match="submit it anew"):
        store.imports.retried(store.get(one), stored=False, now=NOW)


def test_what_is_due_is_found_oldest_first_and_in_bounds(store: Store) -> None:
    """Due imports are found however old they are, in batches, and none that is not due yet."""
    ages = (0.5, 3, 700, 86_400 * 40, 86_400 * 900)
    documents = [store.put(new(due_at=NOW - timedelta(seconds=age))) for age in ages]
    store.put(new(due_at=NOW + timedelta(seconds=1)))
    oldest_first = [one["_id"] for one in reversed(documents)]
    assert [one["_id"] for one in store.imports.find_due(now=NOW, limit=10)] == oldest_first
    assert [one["_id"] for one in store.imports.find_due(now=NOW, limit=2)] == oldest_first[:2]


def test_the_walk_over_all_open_imports_misses_none(store: Store) -> None:
    """After Redis was emptied each open import is met once, in bounded pieces, however far its due time is."""
    offsets = [index // 3 * 7.3 for index in range(100)]  # three at a time are due at the same moment
    documents = [store.put(new(due_at=NOW + timedelta(seconds=offset))) for offset in offsets]
    piece: list[Document] = []
    met: list[str] = []
    while piece := store.imports.find_due_after(piece, now=NOW, limit=8):
        assert len(piece) <= 8
        met += [one["_id"] for one in piece]
    assert sorted(met) == sorted(one["_id"] for one in documents)


def test_looking_later_moves_only_what_nothing_happened_to(store: Store) -> None:
    """A sweeper that saw an import before a worker claimed it does not push the end of the lease away."""
    one, other = store.put(new()), store.put(new())
    seen = [store.get(one), store.get(other)]
    store.claimed(other)
    later = NOW + timedelta(seconds=60)
    store.imports.look_later((document, later) for document in seen)
    assert (store.get(one)["due_at"], store.get(one)["asks"]) == (later, 1)
    assert store.get(other)["due_at"] == NOW + timedelta(seconds=LEASE)


class LosesReplies:
    """A collection whose writes land while their replies are lost, as on a connection that breaks."""

    def __init__(self, collection: Any, losses: int) -> None:
        self._collection, self.losses = collection, losses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def update_one(self, *args: Any, **kwargs: Any) -> Any:
        result = self._collection.update_one(*args, **kwargs)
        if self.losses:
            self.losses -= 1
            raise AutoReconnect("the reply was lost")
        return result


def test_a_write_whose_reply_was_lost_is_recognised(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that landed unseen is ours and is counted once; so is the write that ends it."""
    one = store.put(new())
    monkeypatch.setattr(store.imports, "_documents", LosesReplies(store.db.imports, losses=1))
    claim = store.claimed(one)
    assert (store.get(one)["fence"], store.get(one)["deliveries"]) == (1, 1)
    monkeypatch.setattr(store.imports, "_documents", LosesReplies(store.db.imports, losses=1))
    store.imports.fetched(claim, original=ORIGINAL, now=NOW, due_in=5)
    assert (store.get(one)["status"], store.get(one)["deliveries"]) == ("fetched", 0)


def test_indexes_are_made_once(store: Store) -> None:
    """`imports prepare` may run at every deployment."""
    prepare(store.db)
    assert "due_at_1" in store.db.imports.index_information()


def test_an_open_import_always_has_someone_who_looks_again(store: Store) -> None:
    """Whatever is done to an import: open ones carry `due_at`, ended ones do not."""
    ways: list[Any] = [
        lambda claim: store.imports.given_back(claim, now=NOW),
        lambda claim: store.imports.tried(claim, code="c", delay=1, now=NOW),
        lambda claim: store.imports.failed(claim, code="c", detail="d", retryable=True, now=NOW),
        lambda claim: store.imports.fetched(claim, original=ORIGINAL, now=NOW, due_in=5),
    ]
    for way in ways:
        one = store.put(new())
        way(store.claimed(one))
        document = store.get(one)
        assert ("due_at" in document) == (document["status"] not in ENDED)
        assert ("open" in document) == (document["status"] not in ENDED)


def test_mongodb_away_is_said_and_not_waited_for_for_ever() -> None:
    """A store that does not answer raises within its bounds."""
    client: pymongo.MongoClient[Document] = connect(
        "mongodb://127.0.0.1:1/imports?serverSelectionTimeoutMS=100"
    )
    with pytest.raises(AutoReconnect):
        Imports(database(client)).find("x")
    client.close()

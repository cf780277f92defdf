"""Images are rendered anew behind every import, once for each recipe, and are never without thumbnails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import mongomock
import pytest

from common.documents.database import Document
from common.documents.groups import Groups
from common.documents.images import Images
from common.documents.imports import RENDER
from common.documents.organizations import Organizations
from common.documents.rerenders import Rerenders
from common.queue.dispatch import NoDispatcher
from tests.unit.workers.test_pipeline import THUMBNAILS, rendered
from workers.failures import Interrupted, Permanent, Throttled
from workers.gates import Gates
from workers.leases import Leases
from workers.rerendering import Renewals, Rerendering
from workers.stages.render import Rendered

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = {
    "_id": "image",
    "organization_id": "org",
    "import_id": "import",
    "album_id": "case",
    "original": {"key": "org/originals/s"},
    "bytes": 3,
    "thumbnails": [{"name": "large", "key": "org/thumbnails/old"}],
    "recipe": "r0",
    "created_at": NOW,
}


class Bench:
    """One render process on stores in memory, whose rendering does what a test says."""

    def __init__(self) -> None:
        self.now, self.empty = NOW, True
        client: Any = mongomock.MongoClient(tz_aware=True)
        self.db = client.imports
        organizations, self.rerenders, images = Organizations(self.db), Rerenders(self.db), Images(self.db)
        organizations.add("org", name="Org", source={}, now=NOW)
        self.db.images.insert_one(OLD)
        self.render: Callable[..., Rendered] = lambda *_: rendered()
        clock = lambda: self.now  # noqa: E731
        self.renewals = Renewals(
            imports=self.rerenders,
            groups=Groups(self.db),
            images=images,
            organizations=organizations,
            dispatcher=NoDispatcher(),
            leases=Leases(clock=clock, lease=15, every=5),
            gates=Gates(organizations, clock=clock),
            fetch=lambda *_: pytest.fail("an original is never fetched twice"),
            render=lambda *args: self.render(*args),
            expand=lambda *_: pytest.fail("no group is expanded"),
            clock=clock,
            owner="worker",
            lease_seconds=15,
            max_attempts=3,
        )
        self.thread = Rerendering(
            rerenders=self.rerenders,
            run=self.renewals.run,
            empty=lambda: self.empty,
            clock=clock,
            max_deliveries=2,
        )

    def order(self) -> str:
        return self.rerenders.order(OLD, recipe="r1", now=self.now)

    def once(self) -> bool:
        """Look a second later: what is due now is seen by the next look."""
        self.now += timedelta(seconds=1)
        return self.thread.once()

    def image(self) -> Document:
        found = self.db.images.find_one({"_id": "image"})
        assert found is not None
        return dict(found)

    def status(self, rerender_id: str) -> str:
        found = self.rerenders.find(rerender_id)
        assert found is not None
        return str(found["status"])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_image_gets_new_thumbnails_and_keeps_all_else(bench: Bench) -> None:
    """The entry is the same one, with other thumbnails and the name of their recipe."""
    one = bench.order()
    assert bench.once()
    image = bench.image()
    assert (bench.status(one), image["recipe"]) == ("succeeded", "r1")
    assert [each["key"] for each in image["thumbnails"]] == [each.key for each in THUMBNAILS]
    assert {name: image[name] for name in ("import_id", "album_id", "created_at", "original")} == {
        name: OLD[name] for name in ("import_id", "album_id", "created_at", "original")
    }
    assert not bench.once(), "nothing is left"


def test_imports_go_first(bench: Bench) -> None:
    """Nothing is taken up while the queue of imports holds anything."""
    one, bench.empty = bench.order(), False
    assert not bench.once()
    assert bench.status(one) == "fetched"
    bench.empty = True
    assert bench.once()


def test_ordering_twice_is_ordering_once(bench: Bench) -> None:
    """A run that was broken off is run again; what is done stays done."""
    assert bench.order() == bench.order()
    assert bench.once()
    assert bench.status(bench.order()) == "succeeded"
    assert bench.db.rerenders.count_documents({}) == 1


def test_old_thumbnails_stay_until_the_new_are_recorded(bench: Bench) -> None:
    """Not when the rendering begins, and not when it fails; a failed one may be ordered again."""
    one = bench.order()

    def fails(*_: Any) -> Rendered:
        assert bench.image()["thumbnails"] == OLD["thumbnails"]
        raise Permanent("image_corrupt", "It is damaged.")

    bench.render = fails
    assert bench.once()
    assert (bench.status(one), bench.image()) == ("failed", OLD)
    bench.render = lambda *_: rendered()
    assert bench.order() == one
    assert bench.once()
    assert bench.image()["recipe"] == "r1"


def test_a_killed_worker_costs_a_lease(bench: Bench) -> None:
    """Its claim is taken back when the lease has run out; what dies over and over is given up."""
    one = bench.order()
    for _ in range(2):
        seen = bench.rerenders.find(one)
        assert seen is not None
        assert bench.rerenders.claim(seen, RENDER, owner="killed", now=bench.now, lease=15)
        assert not bench.once(), "held by somebody"
        bench.now += timedelta(seconds=16)
        assert not bench.once(), "taken back"
    assert (bench.status(one), bench.image()) == ("failed", OLD)


def test_a_late_worker_changes_no_claim(bench: Bench) -> None:
    """Whoever lost its claim while it rendered writes no end."""
    one = bench.order()

    def late(*_: Any) -> Rendered:
        bench.now += timedelta(seconds=16)
        assert not bench.once()
        return replace(rendered(), recipe="late")

    bench.render = late
    bench.once()
    assert bench.status(one) == "fetched"
    bench.render = lambda *_: rendered()
    assert bench.once()
    assert (bench.status(one), bench.image()["recipe"]) == ("succeeded", "r1")


@pytest.mark.parametrize(
    "failure",
    [Interrupted(), Throttled("blobs_unavailable", "Full.", scope="store", waiting_for="blobs")],
)
def test_what_is_nobodys_fault_is_done_later(bench: Bench, failure: BaseException) -> None:
    """A worker that stops, a store that is full: nothing is counted and nothing is lost."""

    def away(*_: Any) -> Rendered:
        raise failure

    one, bench.render = bench.order(), away
    assert bench.once()
    found = bench.rerenders.find(one)
    assert found is not None
    assert (found["status"], found["deliveries"], found["attempts"]) == ("fetched", 0, 0)
    bench.render, bench.now = lambda *_: rendered(), bench.now + timedelta(seconds=10)
    assert bench.once()
    assert bench.status(one) == "succeeded"


def test_the_thread_works_by_itself_and_ends(bench: Bench) -> None:
    """Started, it finds what is due; stopped, it is gone."""
    done = threading.Event()

    def render(*_: Any) -> Rendered:
        done.set()
        return rendered()

    bench.render = render
    bench.order()
    bench.now += timedelta(seconds=1)
    bench.thread.start()
    assert done.wait(10)
    bench.thread.stop()
    bench.thread.join(10)
    assert not any(thread.name == "rerendering" for thread in threading.enumerate())

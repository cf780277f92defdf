"""What one message does: claim, work, and the one write that says how it ended."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import fakeredis
import mongomock
import pytest

from common.documents.database import Document
from common.documents.groups import Groups
from common.documents.images import Images, image_id_of
from common.documents.imports import FETCH, RENDER, Imports
from common.documents.new_imports import accepted
from common.documents.organizations import Organizations
from common.queue import tallies
from common.queue.dispatch import Dispatcher, Requests
from workers.failures import Failure, Interrupted, Permanent, Throttled, Transient
from workers.gates import Gates
from workers.leases import Leases
from workers.pipeline import Pipeline
from workers.stages.fetch import Original
from workers.stages.render import Rendered, Thumbnail

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORIGINAL = Original(
    key="org/originals/s", bytes=3, sha256="s", content_type="image/jpeg", filename="theirs.jpg"
)
THUMBNAILS = tuple(
    Thumbnail(
        name=name,
        width=size,
        height=size,
        content_type="image/jpeg",
        bytes=1,
        sha256=name,
        key=f"org/thumbnails/{name}",
    )
    for name, size in (("large", 3), ("medium", 2), ("small", 1))
)


class Line:
    """One worker on stores in memory, whose two stages do what a test says."""

    def __init__(self) -> None:
        self.now = NOW
        client: Any = mongomock.MongoClient(tz_aware=True)
        db = client.imports
        self.db = db
        self.imports, self.images, self.organizations = Imports(db), Images(db), Organizations(db)
        self.groups = Groups(db)
        self.organizations.add("org", name="Org", source={}, now=NOW)
        self.redis = fakeredis.FakeRedis(version=7)
        self.dispatcher = Dispatcher(
            self.redis, Requests(per_organization=2, now=lambda: self.now.timestamp())
        )
        self.leases = Leases(clock=lambda: self.now, lease=15, every=5)
        self.gates = Gates(self.organizations, clock=lambda: self.now)
        self.fetch: Callable[..., Any] = lambda *_: ORIGINAL
        self.render: Callable[..., Any] = lambda *_: rendered()
        self.expand: Callable[..., Any] = lambda *_: 0
        self.pipeline = Pipeline(
            imports=self.imports,
            groups=self.groups,
            images=self.images,
            organizations=self.organizations,
            dispatcher=self.dispatcher,
            leases=self.leases,
            gates=self.gates,
            fetch=lambda *args: self.fetch(*args),
            render=lambda *args: self.render(*args),
            expand=lambda *args: self.expand(*args),
            clock=lambda: self.now,
            owner="worker",
            lease_seconds=15,
            max_attempts=3,
            chance=random.Random(1),
        )

    def put(self, **fields: Any) -> str:
        document = accepted(
            str(uuid.uuid4()),
            organization_id="org",
            user_id="user",
            params="{}",
            import_type=None,
            album_id="case",
            filename=None,
            metadatas='{"a":1}',
            source_type="salesforce",
            record_id="00P4I00000zyw3eUAA",
            request_id="r",
            now=self.now,
            due_in=5,
        )
        self.db.imports.insert_one({**document, **fields})
        self.dispatcher.enqueue("fetch", "org", [(document["_id"], self.now)])
        return str(document["_id"])

    def get(self, import_id: str) -> Document:
        found = self.imports.find(import_id)
        assert found is not None
        return found

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        counted = (labels for name, labels, _ in tallies.read(self.redis) if name == "stage_sum")
        return [(one["stage"], one["outcome"]) for one in counted]

    def dispatched(self, stage: str = "fetch") -> set[str]:
        entries: Any = self.redis.zrange(f"imports:dispatched:{stage}", 0, -1)
        return {entry.decode().removeprefix("org|") for entry in entries}


def rendered() -> Rendered:
    return Rendered(
        width=3,
        height=3,
        format="JPEG",
        content_type="image/jpeg",
        thumbnails=THUMBNAILS,
        recipe="r1",
        placeholder=None,
        frames=1,
        orientation=1,
        color_space="sRGB",
        dhash=None,
        dominant_color=None,
        lens=None,
        exposure=None,
        taken_at=None,
        camera=None,
        gps=None,
        partial=False,
    )


def test_the_same_bytes_twice_name_the_first_image(line: Line) -> None:
    """An organization learns that it has a picture already; another organization's picture is none of its own."""
    first, second = line.put(), line.put()
    for one in (first, second):
        line.pipeline.run("fetch", one)
        line.pipeline.run("render", one)
        line.now += timedelta(seconds=1)
    assert line.get(first)["duplicate_of"] is None
    assert line.get(second)["duplicate_of"] == image_id_of(first)
    line.db.images.update_many({}, {"$set": {"organization_id": "another"}})
    third = line.put()
    line.pipeline.run("fetch", third)
    line.pipeline.run("render", third)
    assert line.get(third)["duplicate_of"] is None


def raising(failure: BaseException) -> Callable[..., Any]:
    def work(*_: Any) -> Any:
        raise failure

    return work


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.redis.close()


def test_a_fetch_and_a_render_make_one_image(line: Line) -> None:
    """Two messages bring an import to its end, and the entry says what the stages found."""
    one = line.put()
    line.pipeline.run("fetch", one)
    assert line.get(one)["status"] == "fetched"
    assert line.dispatched("fetch") == set()
    assert line.dispatched("render") == {one}
    line.pipeline.run("render", one)
    end = line.get(one)
    assert (end["status"], end["image_id"]) == ("succeeded", image_id_of(one))
    image = line.images.find(end["image_id"])
    assert image is not None
    assert (image["import_id"], image["filename"], image["album_id"]) == (one, "theirs.jpg", "case")
    assert [thumbnail["name"] for thumbnail in image["thumbnails"]] == ["large", "medium", "small"]
    assert "gps" not in image
    assert line.dispatched("render") == set()
    assert line.outcomes == [("fetch", "done"), ("render", "done")]


@pytest.mark.parametrize("queue", ["fetch", "render"])
def test_a_late_a_doubled_and_an_unknown_message_do_nothing(line: Line, queue: str) -> None:
    """Messages are hints: whatever comes twice, late, or names nothing, changes no document."""
    one = line.put()
    for stage in ("fetch", "render"):
        line.pipeline.run(stage, one)
    end = line.get(one)
    line.pipeline.run(queue, one)
    line.pipeline.run(queue, str(uuid.uuid4()))
    assert line.get(one) == end
    assert line.db.images.count_documents({}) == 1


def test_a_message_for_an_import_in_work_leaves_its_bell(line: Line) -> None:
    """A doubled message does not free the place of the import that is being worked on."""
    one = line.put()
    line.imports.claim(line.get(one), FETCH, owner="other", now=NOW, lease=15)
    line.pipeline.run("fetch", one)
    assert line.dispatched() == {one}
    assert line.get(one)["owner"] == "other"


def test_a_permanent_failure_ends_the_import_at_once(line: Line) -> None:
    """What cannot be imported fails with its code and sentence, and is not tried again."""
    one = line.put()
    line.fetch = raising(Permanent("attachment_refused", "Share it."))
    line.pipeline.run("fetch", one)
    end = line.get(one)
    assert end["status"] == "failed"
    assert end["error"] == {"code": "attachment_refused", "detail": "Share it.", "retryable": False}
    assert "due_at" not in end
    assert line.dispatched() == set()


def test_what_is_not_there_yet_is_looked_at_once_more(line: Line) -> None:
    """A record that replication or sharing has not reached is looked at again 5 s later, once."""
    one = line.put()
    line.fetch = raising(Permanent("attachment_not_found", "d", may_appear=True))
    line.pipeline.run("fetch", one)
    assert (line.get(one)["status"], line.get(one)["attempts"]) == ("queued", 0)
    line.pipeline.run("fetch", one)
    assert line.get(one)["status"] == "queued", "too early: nothing happens"
    line.now += timedelta(seconds=6)
    line.pipeline.run("fetch", one)
    assert line.get(one)["error"]["code"] == "attachment_not_found"


def test_an_old_import_gets_no_second_look(line: Line) -> None:
    """Replication is a matter of seconds: an import of a minute fails at the first look."""
    one = line.put()
    line.now += timedelta(seconds=61)
    line.fetch = raising(Permanent("attachment_not_found", "d", may_appear=True))
    line.pipeline.run("fetch", one)
    assert line.get(one)["status"] == "failed"


def test_answers_that_are_no_good_are_counted_and_bounded(line: Line) -> None:
    """A bad answer costs an attempt and a growing pause; the last one ends the import, which may be retried."""
    one = line.put()
    line.fetch = raising(Transient("answer_truncated", "d"))
    for attempt in (1, 2):
        line.pipeline.run("fetch", one)
        document = line.get(one)
        assert (document["status"], document["attempts"], document["deliveries"]) == ("queued", attempt, 0)
        assert document["not_before"] > line.now
        assert line.dispatched() == set()
        line.now = document["not_before"]
    line.pipeline.run("fetch", one)
    assert line.get(one)["error"] == {"code": "answer_truncated", "detail": "d", "retryable": True}


def test_what_the_other_side_asks_for_is_a_floor(line: Line) -> None:
    """Retry-After is never undercut."""
    one = line.put()
    line.fetch = raising(Transient("salesforce_unavailable", "d", retry_after=60))
    line.pipeline.run("fetch", one)
    assert line.get(one)["not_before"] >= line.now + timedelta(seconds=60)


def test_an_outage_of_salesforce_counts_nothing_and_closes_the_gate(line: Line) -> None:
    """While an organization's Salesforce is away its imports wait, one at a time asks, and none fails."""
    one, two = line.put(), line.put()
    outage = Throttled("salesforce_unreachable", "d", waiting_for="salesforce")
    line.fetch = raising(outage)
    for _ in range(20):
        line.pipeline.run("fetch", one)
        line.pipeline.run("fetch", two)
        line.now += timedelta(seconds=2)
    for import_id in (one, two):
        document = line.get(import_id)
        assert (document["status"], document["attempts"], document["deliveries"]) == ("queued", 0, 0)
        assert document["waiting_for"] == "salesforce"
    assert 6 <= line.get(one)["fence"] + line.get(two)["fence"] <= 10, "about one probe in five seconds"
    line.fetch = lambda *_: ORIGINAL
    line.now += timedelta(seconds=6)
    line.pipeline.run("fetch", one)
    line.pipeline.run("fetch", two)
    assert {line.get(one)["status"], line.get(two)["status"]} == {"fetched"}
    assert line.organizations.find("org")["gate"] is None  # type: ignore[index]


def test_a_store_that_is_away_delays_its_import_alone(line: Line) -> None:
    """A full blob store counts nothing and closes nobody's gate."""
    one = line.put()
    line.fetch = raising(Throttled("blobs_unavailable", "d", waiting_for="blobs", scope="store"))
    line.pipeline.run("fetch", one)
    document = line.get(one)
    assert (document["status"], document["waiting_for"], document["attempts"]) == ("queued", "blobs", 0)
    assert line.organizations.find("org")["gate"] is None  # type: ignore[index]


def test_a_worker_that_stops_gives_the_work_back(line: Line) -> None:
    """A shutdown counts nothing, and the next worker is asked at once."""
    one = line.put()
    line.fetch = raising(Interrupted())
    line.pipeline.run("fetch", one)
    document = line.get(one)
    assert (document["status"], document["deliveries"], document["attempts"]) == ("queued", 0, 0)
    assert document["due_at"] == line.now
    assert line.dispatched() == {one}


def test_a_worker_that_stops_claims_nothing_any_more(line: Line) -> None:
    """A message that still comes is left to others: it waits in the backlog, and no delivery is counted."""
    one = line.put()
    line.leases.interrupt()
    line.pipeline.run("fetch", one)
    document = line.get(one)
    assert (document["status"], document["deliveries"], document["fence"]) == ("queued", 0, 0)
    assert line.dispatched() == set()
    assert line.redis.zrange("imports:backlog:fetch:org", 0, -1) == [one.encode()]


def test_a_claim_made_while_the_worker_is_told_to_stop_is_given_back(line: Line) -> None:
    """Whoever was just being claimed when all were told learns of it as well."""
    one = line.put()
    claim = line.imports.claim(line.get(one), FETCH, owner="worker", now=line.now, lease=15)
    assert claim is not None
    line.leases.interrupt()
    with line.leases.hold(line.imports, claim) as stop:
        assert stop.is_set()


def test_a_canceled_import_leaves_no_image(line: Line) -> None:
    """An import that is canceled while it is rendered ends canceled, without an image entry."""
    one = line.put()
    line.pipeline.run("fetch", one)

    def cancels(*_: Any) -> Rendered:
        assert line.imports.end(
            line.get(one), "canceled", code=None, detail="", retryable=False, now=line.now
        )
        return rendered()

    line.render = cancels
    line.pipeline.run("render", one)
    assert (line.get(one)["status"], line.get(one)["image_id"]) == ("canceled", None)
    assert line.db.images.count_documents({}) == 0


def test_an_unexpected_error_is_an_attempt_and_no_crash(line: Line) -> None:
    """A fault of ours ends in a counted attempt with a code; the worker and its neighbours go on."""
    one = line.put()
    line.fetch = raising(ZeroDivisionError("ours"))
    line.pipeline.run("fetch", one)
    assert (line.get(one)["status"], line.get(one)["attempts"]) == ("queued", 1)
    assert line.get(one)["history"][-1]["code"] == "internal_error"


def test_a_lost_claim_tells_the_work_to_stop(line: Line) -> None:
    """Work on an import that somebody else has by now is told to stop with the next renewal."""
    one = line.put()

    def sees(_document: Document, _organization: Document, stop: threading.Event) -> Original:
        assert not stop.is_set()
        line.imports.end(line.get(one), "canceled", code=None, detail="", retryable=False, now=line.now)
        line.leases.renew()
        assert stop.is_set()
        raise Interrupted

    line.fetch = sees
    line.pipeline.run("fetch", one)
    assert line.get(one)["status"] == "canceled"
    assert line.outcomes == [("fetch", "lost")]


def test_a_disabled_organizations_imports_wait_in_both_stages(line: Line) -> None:
    """Nothing of a disabled organization is fetched or rendered until it is enabled again."""
    one = line.put()
    line.pipeline.run("fetch", one)
    line.organizations.disable("org", now=NOW)
    line.pipeline.run("render", one)
    assert (line.get(one)["status"], line.get(one)["waiting_for"]) == ("fetched", "organization_enabled")
    line.organizations.enable("org")
    line.pipeline.run("render", one)
    assert line.get(one)["status"] == "succeeded"


def test_every_kind_of_failure_has_its_outcome() -> None:
    """The tree of failures is closed: each branch is one that the pipeline tells apart."""
    assert {kind.__name__ for kind in Failure.__subclasses__()} == {
        "Permanent",
        "Transient",
        "Throttled",
        "Interrupted",
    }
    assert RENDER.before == FETCH.after

"""One organization's thousands, or its stuck Salesforce, are nobody else's: two organizations on one product."""

from __future__ import annotations

import contextlib
import random
import statistics
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
import requests
from PIL import Image

from common.documents.new_imports import accepted
from common.queue.dispatch import AHEAD
from tests.journey.albums import ask, fill, picture
from tests.journey.test_salesforce import operate
from tests.world import World

DOORBELLS, RENDERS = 6, 3  # the defaults of DOORBELLS_PER_ORGANIZATION and RENDERS_PER_ORGANIZATION
SLACK = 3  # what is promised, without more, since both times are of one run
SECRET = "the-other-organization's-own-secret"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads a process's settings from /proc")


@dataclass
class Other:
    """The organization that has a single import now and then."""

    world: World
    organization_id: str
    client_id: str
    http: requests.Session

    def imports_one(self, name: str, content: bytes | None = None) -> dict[str, Any]:
        """Have one import done, of a small picture unless another is given, and return its document."""
        attachment_id = self.world.attach(name, content or picture(hash(name) % 60_000))
        answer = self.http.post(
            f"{self.world.url}/api/v1/imports", data={"attachment_id": attachment_id}, timeout=15
        )
        import_id = answer.json()["id"]
        self.world.rest([import_id], seconds=60)
        document = self.world.document(import_id)
        assert document["status"] == "succeeded"
        return document


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(scope="module")
def other(world: World) -> Iterator[Other]:
    """A second organization."""
    with joined(world, "other") as one:
        yield one


@contextlib.contextmanager
def joined(world: World, client_id: str) -> Iterator[Other]:
    """One more organization with an app of its own, made as an operator makes it."""
    world.control("POST", "clients", {"client_id": client_id, "client_secret": SECRET})
    url = world.ready["salesforce_url"]
    words = ("organization", "add", client_id, "--salesforce-url", url, "--client-id", client_id)
    made = operate(world, *words, "--client-secret-file", "-", told=SECRET)
    user = operate(world, "user", "add", made["id"])
    with requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {operate(world, 'token', user['id'])['token']}"
        yield Other(world, made["id"], client_id, http)


def seconds_of(document: dict[str, Any]) -> float:
    """Return how long an import took, from its acceptance to its end."""
    return float((document["stages"]["render"]["ended_at"] - document["created_at"]).total_seconds())


def photograph(number: int) -> bytes:
    """Return a picture of three megapixels, as a telephone makes them: about as hard to decode, and unique."""
    grain = Image.frombytes("RGB", (256, 192), random.Random(number).randbytes(256 * 192 * 3))
    written = BytesIO()
    grain.resize((2048, 1536), Image.Resampling.BICUBIC).save(written, "JPEG", quality=88)
    return written.getvalue()


def backlog(world: World, amount: int) -> None:
    """Let the first organization have so many imports waiting, as if they had been posted."""
    attachment_id = world.attach("backlog.jpg", picture(1))
    now = world.db.command("hello")["localTime"]
    made = [
        accepted(
            str(uuid.uuid4()),
            organization_id=world.ready["organization_id"],
            user_id=world.ready["user_id"],
            params="{}",
            import_type=None,
            album_id="backlog",
            filename=None,
            metadatas=None,
            source_type="salesforce",
            record_id=attachment_id,
            request_id=None,
            now=now,
            due_in=number / 1000,
        )
        for number in range(amount)
    ]
    world.db.imports.insert_many(made, ordered=False)


def passed(world: World, document: dict[str, Any]) -> int:
    """Count the jobs of the backlog that began between an import's acceptance and its end."""
    during = {"$gte": document["created_at"], "$lte": document["stages"]["render"]["ended_at"]}
    return sum(
        world.db.imports.count_documents({"album_id": "backlog", f"stages.{stage}.started_at": during})
        for stage in ("fetch", "render")
    )


def settled(world: World) -> None:
    """Wait until the backlog goes its steady way: fetched as far ahead as may be, thousands still waiting."""
    room = f"imports:backlog:render:{world.ready['organization_id']}"
    world.until(lambda: world.redis.zcard(room) >= RENDERS * AHEAD * 0.9, seconds=90)


def cleared(world: World) -> None:
    """Cancel the backlog and wait until nothing of it is left in the queues."""
    world.db.imports.update_many(
        {"album_id": "backlog", "status": {"$in": ["queued", "fetched"]}},
        {"$set": {"status": "canceled"}, "$unset": {"due_at": "", "open": ""}},
    )
    rooms = [f"imports:backlog:{stage}:{world.ready['organization_id']}" for stage in ("fetch", "render")]
    world.until(lambda: not world.redis.exists(*rooms), seconds=120)
    world.idle()


@pytest.mark.timeout(240)
def test_thousands_of_one_do_not_stand_before_one_of_another(world: World, other: Other) -> None:
    """While one organization has 2,000 imports waiting, another's single import passes all but a few of them."""
    backlog(world, 2_000)
    settled(world)
    counts = [passed(world, other.imports_one(f"busy-{number}.jpg")) for number in range(5)]
    waiting = world.db.imports.count_documents({"album_id": "backlog", "status": "queued"})
    fetching = world.db.imports.count_documents({"album_id": "backlog", "status": "fetching"})
    cleared(world)
    sys.stderr.write(f"passed {counts}\n")
    assert waiting > 0, "the others were still waiting"
    assert fetching <= DOORBELLS
    # All bells that were out when it came, and once more the renders that slip by in its own time.
    assert statistics.median(counts) <= DOORBELLS + 2 * RENDERS


@pytest.mark.slow
@pytest.mark.timeout(540)
def test_ten_thousand_of_one_delay_one_of_another_by_little(world: World, other: Other) -> None:
    """With 10,000 imports of one organization waiting, another's takes at most SLACK times its idle time."""
    idle = [seconds_of(other.imports_one(f"idle-{n}.jpg", photograph(n))) for n in range(12)]
    backlog(world, 10_000)
    settled(world)
    busy = [seconds_of(other.imports_one(f"laden-{n}.jpg", photograph(100 + n))) for n in range(12)]
    waiting = world.db.imports.count_documents({"album_id": "backlog", "status": "queued"})
    cleared(world)
    sys.stderr.write(f"idle {idle}, busy {busy}\n")
    assert waiting > 9_000
    assert statistics.median(busy) <= SLACK * statistics.median(idle)


@pytest.mark.timeout(240)
def test_a_stuck_salesforce_holds_its_own_share_of_the_workers(world: World, other: Other) -> None:
    """With every call of one organization stuck (fetches, a listing, dry runs), another's import goes on."""
    case_id, records = fill(world, 3)
    stuck = {"kind": "stall", "seconds": 60, "client_id": "sandbox", "times": None}
    world.control("POST", "faults", {**stuck, "path": "/services/data"})
    attachment_id = world.attach("stuck.jpg", picture(2))
    for _ in range(12):
        world.post(attachment_id, "stuck.jpg")
    ask(world, case_id)
    tried = [threading.Thread(target=_try, args=(world, record)) for record in sorted(records)[:2]]
    for one in tried:
        one.start()
    held = {"organization_id": world.ready["organization_id"]}
    world.until(lambda: world.db.imports.count_documents({**held, "status": "fetching"}) == DOORBELLS)
    world.until(lambda: world.db.import_groups.find_one({**held, "status": "expanding"}))
    document = other.imports_one("free.jpg")
    assert world.db.imports.count_documents({**held, "status": "fetching"}) == DOORBELLS
    assert len([entry for entry in document["history"] if entry["event"] == "fetching"]) == 1
    world.control("DELETE", "faults")
    for one in tried:
        one.join(timeout=30)


@pytest.mark.timeout(240)
def test_three_stuck_at_once_leave_threads_for_one_that_is_served(world: World, other: Other) -> None:
    """With the Salesforce of three organizations hanging at once, each with more waiting than there are fetch
    threads, a fourth one's imports go on, and the three hold no more than one's share and one each."""
    with contextlib.ExitStack() as stack:
        stuck = [stack.enter_context(joined(world, f"stuck-{number}")) for number in range(3)]
        attachment_id = world.attach("stuck.jpg", picture(3))
        for one in stuck:
            fault = {"kind": "stall", "seconds": 60, "client_id": one.client_id, "times": None}
            world.control("POST", "faults", {**fault, "path": "/services/data"})
        for one in stuck * 14:
            form = {"attachment_id": attachment_id}
            assert one.http.post(f"{world.url}/api/v1/imports", data=form, timeout=15).ok
        ids = [one.organization_id for one in stuck]
        held = {"organization_id": {"$in": ids}, "status": "fetching"}
        world.until(lambda: len(world.db.imports.distinct("organization_id", held)) == 3)
        for number in range(3):
            other.imports_one(f"served-{number}.jpg")
        holding = world.db.imports.count_documents(held)
        world.control("DELETE", "faults")
        for one_id in ids:
            operate(world, "organization", "disable", one_id)
    assert 3 <= holding <= DOORBELLS + 2


def _try(world: World, record: str) -> None:
    """Try an import out; it may well not be answered."""
    requests.post(
        f"{world.url}/api/v1/imports?dry_run=online",
        data={"attachment_id": record},
        headers=dict(world.http.headers),
        timeout=30,
    )

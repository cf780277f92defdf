"""Whatever an earlier release wrote, the code of today reads and carries to its end; and beside a newer one it works.

The shapes are in tests/recorded/, a folder a release, and are never changed.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dramatiq
import pytest
from bson import json_util

from common.documents.database import Document, connect, connect_door, database, door_database, prepare
from common.documents.images import image_id_of
from common.documents.imports import Imports
from common.documents.imports_at_door import ImportsAtDoor
from common.documents.new_imports import Once, accepted
from common.documents.statuses import ENDED
from common.documents.users import UsersAtDoor
from common.queue.broker import NAMESPACE, consumer, door_client, worker_client
from common.queue.depth import depths
from common.queue.jobs import JOBS
from ingest import idempotency, present
from tests.conformance.test_schedule import Life
from tests.doors import Door
from workers.actors import register
from workers.credentials import Credentials
from workers.operate import story
from workers.sources import Sources

RECORDED = Path(__file__).parents[1] / "recorded"
KEY = "cmVjb3JkZWQtb25seS1mb3ItdGVzdHMtMDAwMDAwMDE="
RELEASES = sorted(path.name for path in RECORDED.iterdir() if path.is_dir())
IMPORTS = sorted(str(path.relative_to(RECORDED)) for path in RECORDED.glob("*/import-*.json"))
MESSAGES = sorted(str(path.relative_to(RECORDED)) for path in RECORDED.glob("*/message-*.json"))
UTC = ZoneInfo("UTC")


def read(name: str) -> Document:
    """Return a recorded document as the driver would."""
    options = json_util.JSONOptions(tz_aware=True)
    document: Document = json_util.loads((RECORDED / name).read_text(), json_options=options)
    return document


def beside(name: str, other: str) -> Document:
    """Return another document of the release that a file belongs to."""
    return read(str(Path(name).with_name(other)))


def test_every_state_is_recorded() -> None:
    """Each release's folder holds an import in every state, both messages, an image, an organization, a user."""
    for release in RELEASES:
        states = {read(name)["status"] for name in IMPORTS if name.startswith(release)}
        assert states == {"queued", "fetching", "fetched", "rendering", "succeeded", "failed", "canceled"}
        names = {path.name for path in (RECORDED / release).iterdir()}
        assert {
            "message-fetch.json",
            "message-render.json",
            "image.json",
            "organization.json",
            "user.json",
        } <= names


@pytest.mark.parametrize("name", IMPORTS)
def test_a_recorded_import_is_carried_to_its_end(name: str, mongodb_url: str, redis_url: str) -> None:
    """Open ones succeed, whoever held them; ended ones stay as they are, and a failed one can be retried."""
    recorded = read(name)
    life = Life(
        mongodb_url, redis_url, 1, document=dict(recorded), organization=beside(name, "organization.json")
    )
    try:
        if recorded["status"] in ENDED:
            life.tick()
            assert life.tick() == recorded
            if recorded["status"] != "failed" or recorded["record_id"] is None:
                return
            assert life.imports.retried(recorded, stored=True, now=life.now)
        document, _ = life.ends(ticks=60)
        assert (document["status"], document["image_id"]) == ("succeeded", image_id_of(document["_id"]))
        assert document["params"] == recorded["params"]
        assert life.db.images.count_documents({}) == 1
    finally:
        life.close()


@pytest.mark.parametrize("name", IMPORTS)
def test_a_recorded_import_is_shown(name: str) -> None:
    """To its client, with the eight keys first and its parameters untouched, and to an operator."""
    recorded = read(name)
    shown = json.loads(present.with_state(recorded, zone=UTC, links={}))
    assert shown["params"] == json.loads(recorded["params"])
    assert (shown["id"], shown["status"]) == (recorded["_id"], recorded["status"])
    assert story.told(recorded, UTC)["history"]


@pytest.mark.parametrize("release", RELEASES)
def test_recorded_images_users_and_organizations_are_read(release: str, mongodb_url: str) -> None:
    """An image is served, a token of its user is answered, and the source of its organization opens."""
    image, user = read(f"{release}/image.json"), read(f"{release}/user.json")
    organization = read(f"{release}/organization.json")
    with Door() as door:
        door.images.documents[image["_id"]] = {**image, "organization_id": organization["_id"]}
        shown = door.call("GET", f"/api/v1/images/{image['_id']}").json()
    assert [one["name"] for one in shown["thumbnails"]] == ["large", "medium", "small"]
    assert shown["original"]["url"].endswith("/original")
    with connect(mongodb_url) as client:
        database(client).users.insert_one(user)
        database(client).organizations.insert_one(organization)

    async def find() -> Any:
        async with connect_door(mongodb_url) as at_door:
            return await UsersAtDoor(door_database(at_door)).find(user["_id"])

    found = asyncio.run(find())
    assert (found.id, found.organization_id) == (user["_id"], organization["_id"])
    sources = Sources(credentials=Credentials([KEY]), api_version="65.0")
    assert sources.of(organization) is not None
    sources.close()


@pytest.mark.parametrize("release", RELEASES)
def test_a_recorded_key_still_names_its_request(release: str, mongodb_url: str) -> None:
    """A client that repeats a request after our upgrade gets the import of before: digests never change."""
    recorded = read(f"{release}/import-queued-with-key.json")
    organization_id, key = recorded["idempotency_key"].split(":", 1)
    with connect(mongodb_url) as client:
        prepare(database(client))
        database(client).imports.insert_one(dict(recorded))
    digest = idempotency.digest(json.loads(recorded["params"]))
    again = accepted(
        str(uuid.uuid4()),
        organization_id=organization_id,
        user_id=recorded["user_id"],
        params=recorded["params"],
        import_type=None,
        album_id=None,
        filename=None,
        metadatas=None,
        source_type="salesforce",
        record_id=recorded["record_id"],
        request_id=None,
        now=recorded["created_at"],
        due_in=5,
        once=Once(key, digest, recorded["created_at"] + timedelta(days=1)),
    )

    async def insert() -> Document:
        async with connect_door(mongodb_url) as at_door:
            return await ImportsAtDoor(door_database(at_door)).insert(again)

    kept = asyncio.run(insert())
    assert (kept["_id"], kept["idempotency_digest"]) == (recorded["_id"], digest)


class Beside:
    """Two workers on one queue, and a Redis into which a test writes what another release would."""

    def __init__(self, url: str) -> None:
        self.client = door_client(url)
        self.heard: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self.workers = [self._worker(url) for _ in range(2)]

    def _worker(self, url: str) -> dramatiq.Worker:
        broker = consumer(worker_client(url), [])
        register(broker, answering={job: partial(self._hear, job.queue) for job in JOBS})
        return dramatiq.Worker(broker, worker_threads=2, worker_timeout=50)

    def _hear(self, queue: str, import_id: str) -> None:
        with self.lock:
            self.heard.append((queue, import_id))

    def write(self, raw: bytes) -> None:
        """Put a message on its queue as dramatiq's own script does."""
        told = json.loads(raw)
        name, queue = told["options"]["redis_message_id"], told["queue_name"]
        self.client.hset(f"{NAMESPACE}:{queue}.msgs", name, raw)
        self.client.rpush(f"{NAMESPACE}:{queue}", name)

    def until_done(self, count: int) -> None:
        end = time.monotonic() + 20
        keys = [f"{NAMESPACE}:{queue}.msgs" for queue in ("fetch", "render")]
        while len(self.heard) < count or any(self.client.exists(key) for key in keys):
            assert time.monotonic() < end, self.heard
            time.sleep(0.05)


@pytest.fixture
def workers(redis_url: str) -> Iterator[Beside]:
    beside = Beside(redis_url)
    for worker in beside.workers:
        worker.start()
    yield beside
    for worker in beside.workers:
        worker.stop(timeout=5_000)
        worker.broker.close()
    beside.client.close()


@pytest.mark.parametrize("name", MESSAGES)
def test_a_recorded_message_is_heard(name: str, workers: Beside) -> None:
    """A message that waited in Redis through an upgrade names its import to the worker of today."""
    raw = (RECORDED / name).read_bytes()
    workers.write(raw)
    workers.until_done(1)
    told = json.loads(raw)
    assert workers.heard == [(told["queue_name"], told["kwargs"]["import_id"])]


def test_messages_of_old_and_new_are_each_heard_once(workers: Beside) -> None:
    """Two workers share a queue with messages of yesterday's release and of one that says more than ours does."""
    written = []
    for number in range(40):
        told = json.loads((RECORDED / MESSAGES[number % len(MESSAGES)]).read_bytes())
        told["message_id"], told["options"]["redis_message_id"] = str(uuid.uuid4()), str(uuid.uuid4())
        told["kwargs"] = {"import_id": str(uuid.uuid4())}
        if number % 3 == 0:
            told["kwargs"]["reason"] = {"said": ["by", "a newer release"]}
            told["options"]["priority_of_a_newer_release"] = 3
        written.append((told["queue_name"], told["kwargs"]["import_id"]))
        workers.write(json.dumps(told, separators=(",", ":")).encode())
    workers.until_done(40)
    assert sorted(workers.heard) == sorted(written)
    assert [one.dead for one in depths(workers.client, now=time.time())] == [0, 0]


def test_fields_of_a_newer_release_are_left_alone(mongodb_url: str, redis_url: str) -> None:
    """An import that a newer door wrote is carried to its end by a worker of today, which loses none of its fields."""
    recorded = read(f"{RELEASES[-1]}/import-queued.json")
    newer = {"shape": 2, "of_a_newer_release": {"x": [1]}}
    organization = read(f"{RELEASES[-1]}/organization.json") | newer
    life = Life(mongodb_url, redis_url, 1, document=recorded | newer, organization=organization)
    try:
        document, _ = life.ends(ticks=30)
        assert document["status"] == "succeeded"
        assert newer.items() <= document.items()
        assert Imports(life.db).find(document["_id"]) == document
    finally:
        life.close()

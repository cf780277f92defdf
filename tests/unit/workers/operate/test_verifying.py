"""`verify` finds each way in which documents, blobs and messages disagree; `repair` mends it and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from common.blobs import Blobs, open_blobs
from common.documents.images import Images, image_id_of
from common.documents.inspection import PAGE, Inspection
from common.queue.broker import door_client, producer
from common.queue.jobs import FetchAttachment, message
from tests.unit.workers.operate.conftest import ORGANIZATION, Imports
from workers.operate.repairing import Repairer

ONE, TWO = (f"1a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d000{number}" for number in (1, 2))
DAY = 24 * 3600.0


class Library:
    """A library in which everything agrees, until a test breaks something."""

    def __init__(self, imports: Imports) -> None:
        self.imports, self.db = imports, imports.db
        self.blobs: Blobs = open_blobs(imports.env["BLOBS_URL"], mongodb_url=imports.env["MONGODB_URL"])
        self.folder = Path(imports.env["BLOBS_URL"].removeprefix("file://"))
        imports.json("prepare")
        imports.organization()
        self.parts = [self.put(kind, f"{kind} of {n}".encode()) for kind in ("originals", "thumbnails") for n in (1,)]  # fmt: skip
        for import_id in (ONE, TWO):  # the two share their blobs, as equal pictures of an organization do
            self.succeeded(import_id)

    def put(self, kind: str, body: bytes, *, age: float = 0.0) -> dict[str, Any]:
        sha256 = hashlib.sha256(body).hexdigest()
        key = f"{ORGANIZATION}/{kind}/{sha256}"
        self.blobs.put(key, body, size=len(body), sha256=sha256, content_type="image/jpeg")
        self.age(key, age)
        return {"key": key, "bytes": len(body), "sha256": sha256}

    def age(self, key: str, seconds: float) -> None:
        then = time.time() - seconds
        os.utime(self.folder / key, (then, then))

    def succeeded(self, import_id: str) -> None:
        original, thumbnail = self.parts
        image_id = image_id_of(import_id)
        kept = {**original, "content_type": "image/jpeg", "filename": None}
        self.imports.put(import_id, status="succeeded", image_id=image_id, original=kept, fence=2)
        image = {
            "_id": image_id,
            "import_id": import_id,
            "organization_id": ORGANIZATION,
            "bytes": original["bytes"],
            "sha256": original["sha256"],
            "original": {"key": original["key"]},
            "thumbnails": [{"name": "small", **thumbnail}],
            "created_at": datetime.now(UTC),
        }
        self.db.images.insert_one(image)

    def verify(self, *words: str, code: int = 1) -> list[tuple[str, str]]:
        told = self.imports.json("verify", *words, code=code)
        return [(one["kind"], one["id"]) for one in told["findings"]]

    def repair(self, *words: str, code: int = 0) -> list[tuple[str, str, str]]:
        told = self.imports.json("repair", *words, code=code)
        return [(one["kind"], one["id"], one.get("outcome", "-")) for one in told["findings"]]

    def status(self, import_id: str) -> str:
        found = self.db.imports.find_one({"_id": import_id})
        assert found is not None
        return str(found["status"])


@pytest.fixture
def library(imports: Imports) -> Iterator[Library]:
    library = Library(imports)
    yield library
    library.blobs.close()


def test_a_library_that_agrees_is_clean(library: Library) -> None:
    """Exit code 0, one JSON value that says how much was looked at, and nothing for a repair to do."""
    told = library.imports.json("verify")
    assert told == {
        "checked": {"imports": 2, "groups": 0, "images": 2, "blobs": 2, "messages": 0},
        "findings": [],
    }
    assert library.repair() == []
    assert "All of it agrees." in library.imports.run("verify").stdout


def test_a_succeeded_import_without_its_image_is_rendered_again(library: Library) -> None:
    """Its original is whole, so it is not fetched; the fence goes on and its bell rings."""
    library.db.images.delete_one({"import_id": ONE})
    assert library.verify() == [("import_without_image", ONE)]
    assert library.repair() == [("import_without_image", ONE, "repaired")]
    found = library.db.imports.find_one({"_id": ONE})
    assert found is not None
    assert (found["status"], found["image_id"], found["fence"]) == ("fetched", None, 2)
    assert found["history"][-1]["event"] == "retried"
    with redis.Redis.from_url(library.imports.env["REDIS_URL"]) as client:
        assert client.llen("dramatiq:render") == 1
    assert library.verify(code=0) == []


@pytest.mark.parametrize(("part", "status"), [(0, "queued"), (1, "fetched")])
@pytest.mark.parametrize("broken", ["missing", "changed"])
def test_missing_and_changed_blobs_are_made_again(
    library: Library, part: int, status: str, broken: str
) -> None:
    """A lost thumbnail is rendered anew, a lost original fetched anew, for each import that names it."""
    key = library.parts[part]["key"]
    if broken == "missing":
        library.blobs.delete(key)
    else:
        path = library.folder / key
        path.write_bytes(path.read_bytes()[::-1])
    assert library.verify() == [(f"blob_{broken}", key)] * 2
    assert library.repair() == [(f"blob_{broken}", key, "repaired")] * 2
    assert (library.status(ONE), library.status(TWO)) == (status, status)


def test_a_quick_look_compares_sizes(library: Library) -> None:
    """With --sizes no blob is read: a lost one is found, changed bytes of the same length are not."""
    path = library.folder / library.parts[0]["key"]
    path.write_bytes(path.read_bytes()[::-1])
    assert library.verify("--sizes", code=0) == []
    library.blobs.delete(library.parts[1]["key"])
    assert {kind for kind, _ in library.verify("--sizes")} == {"blob_missing"}


def test_only_old_blobs_that_nothing_names_are_removed(library: Library) -> None:
    """One of today may be about to be named; one that a failed import names is needed by its retry."""
    orphan = library.put("originals", b"of nobody", age=2 * DAY)["key"]
    young = library.put("thumbnails", b"of nobody yet")["key"]
    needed = library.put("originals", b"of a failed one", age=2 * DAY)
    library.imports.put(str(uuid.uuid4()), status="failed", original=needed)
    for part in library.parts:
        library.age(part["key"], 9 * DAY)
    assert library.verify() == [("blob_orphaned", orphan)]
    assert library.repair("--dry-run", code=1) == [("blob_orphaned", orphan, "-")]
    assert library.blobs.size(orphan) is not None
    assert library.repair() == [("blob_orphaned", orphan, "repaired")]
    kept = {young, needed["key"], *(part["key"] for part in library.parts)}
    assert {blob.key for blob in library.blobs.list("")} == kept


def test_thumbnails_that_a_rerender_replaced_are_removed_a_day_later(library: Library) -> None:
    """They stay while another image names them, and while they are young: a page may still point there."""
    replaced, images = library.parts[1], Images(library.db)
    renewed = {"thumbnails": [{"name": "small", **library.put("thumbnails", b"by another recipe")}]}
    library.age(replaced["key"], 2 * DAY)
    images.refresh(image_id_of(ONE), renewed)
    assert library.verify(code=0) == []
    images.refresh(image_id_of(TWO), renewed)
    library.age(replaced["key"], DAY - 60)
    assert library.verify(code=0) == []
    library.age(replaced["key"], DAY + 60)
    assert library.repair() == [("blob_orphaned", replaced["key"], "repaired")]
    assert library.blobs.size(replaced["key"]) is None
    assert library.verify(code=0) == []


@pytest.mark.parametrize("change", ["named", "put"])
def test_a_blob_is_judged_again_before_it_is_removed(
    library: Library, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the finding and the removal a worker puts the blob, or a document comes to name it: it stays."""
    body = b"of nobody, so far"
    orphan = library.put("originals", body, age=2 * DAY)
    act = Repairer.repaired

    def raced(self: Repairer, findings: Any, *, began: datetime) -> Any:
        if change == "put":
            library.put("originals", body)
        else:
            library.imports.put(str(uuid.uuid4()), status="failed", original=orphan)
        return act(self, findings, began=began)

    monkeypatch.setattr(Repairer, "repaired", raced)
    assert library.repair() == [("blob_orphaned", orphan["key"], "gone")]
    assert library.blobs.size(orphan["key"]) == len(body)


def test_a_stuck_import_is_woken(library: Library) -> None:
    """Without a due time no sweeper would ever look; one that is long overdue tells that none runs."""
    stuck, late, waiting = (str(uuid.uuid4()) for _ in range(3))
    library.imports.put(stuck)
    library.db.imports.update_one({"_id": stuck}, {"$unset": {"due_at": "", "open": ""}})
    library.imports.put(late, age=3600)
    library.imports.put(waiting, due_at=datetime.now(UTC) + timedelta(minutes=9), waiting_for="retry")
    assert sorted(library.verify()) == sorted([("import_stuck", stuck), ("import_stuck", late)])
    assert {outcome for *_, outcome in library.repair()} == {"repaired"}
    assert library.verify(code=0) == []
    found = library.db.imports.find_one({"_id": stuck})
    assert found is not None
    assert found["open"] == {"fetch": found["created_at"]}
    with redis.Redis.from_url(library.imports.env["REDIS_URL"]) as client:
        assert client.llen("dramatiq:fetch") == 2


def test_images_that_belong_to_nothing(library: Library) -> None:
    """An image whose import was canceled is removed; one whose import is lost is served, so it is kept and told."""
    library.db.imports.update_one({"_id": ONE}, {"$set": {"status": "canceled"}})
    library.db.imports.delete_one({"_id": TWO})
    one, two = image_id_of(ONE), image_id_of(TWO)
    assert sorted(library.verify()) == [("image_of_canceled_import", one), ("image_without_import", two)]
    outcomes = library.repair(code=1)
    assert sorted(outcomes) == [
        ("image_of_canceled_import", one, "repaired"),
        ("image_without_import", two, "kept"),
    ]
    assert [image["_id"] for image in library.db.images.find()] == [two]


def test_messages_that_name_no_import_are_taken_out(library: Library) -> None:
    """One for a lost import and one that cannot be read go; one whose import is there stays."""
    library.imports.put(str(uuid.uuid4()), _id=(mine := str(uuid.uuid4())))
    with door_client(library.imports.env["REDIS_URL"]) as client:
        broker = producer(client)
        for import_id in (mine, str(uuid.uuid4())):
            broker.enqueue(message(FetchAttachment(import_id=import_id)))
        client.hset("dramatiq:render.msgs", "garbage", b"\xff")
        client.rpush("dramatiq:render", "garbage")
        assert [kind for kind, _ in library.verify()] == ["message_without_import"] * 2
        assert [outcome for *_, outcome in library.repair()] == ["repaired"] * 2
        left: Any = client.hvals("dramatiq:fetch.msgs")
        assert [json.loads(raw)["kwargs"]["import_id"] for raw in left] == [mine]
        assert client.llen("dramatiq:fetch") == 1
        assert not client.exists("dramatiq:render", "dramatiq:render.msgs")
    assert library.verify(code=0) == []


def test_a_walk_sees_every_document_once_however_they_are_spread(library: Library) -> None:
    """Years apart, or many within one millisecond: pages are bounded and none is left out or told twice."""
    now = datetime.now(UTC).replace(microsecond=0)
    times = [now - timedelta(days=n * 97) for n in range(30)] + [now - timedelta(hours=1)] * (PAGE + 20)
    times += [now - timedelta(minutes=30, seconds=n) for n in range(PAGE)]
    library.db.images.delete_many({})
    library.db.images.insert_many([{"_id": str(n), "created_at": at} for n, at in enumerate(times)])
    pages = list(Inspection(library.db).images())
    seen = [image["_id"] for page in pages for image in page]
    assert sorted(seen, key=int) == [str(n) for n in range(len(times))]


def test_a_table_tells_people_what_would_be_done(library: Library) -> None:
    """Without --json: what was looked at, what does not agree, and what a repair does about it."""
    library.db.images.delete_one({"import_id": ONE})
    result = library.imports.run("repair", "--dry-run")
    assert result.exit_code == 1
    assert "import_without_image" in result.stdout
    assert "The import is done again" in result.stdout
    assert library.status(ONE) == "succeeded"

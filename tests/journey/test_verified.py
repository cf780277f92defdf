"""The operator verifies the product's own work, breaks some of it, and repairs it while everything runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from common.documents.inspection import keys_of
from tests.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        for name, attachment_id in world.samples().items():
            world.submit(attachment_id, name)
        world.rest()
        world.idle()
        yield world


def imports(world: World, *words: str, code: int = 0) -> Any:
    """Run a verb of the command on the stores of a world."""
    told = subprocess.run(
        [sys.executable, "-m", "workers.operate", *words, "--json"],
        env={
            "PATH": os.environ["PATH"],
            "MONGODB_URL": world.ready["mongodb_url"],
            "REDIS_URL": world.ready["redis_url"],
            "BLOBS_URL": (world.folder / "blobs").as_uri(),
            "TOKEN_SECRETS": "5e1f0c9a7b3d48620f9e8d7c6b5a4132",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == code, told.stdout + told.stderr
    return json.loads(told.stdout)


def unshared(world: World) -> list[dict[str, Any]]:
    """Return the images that share no blob with another.

    A shared one is found once for each import, and workers may have made it whole before the second's turn.
    """
    images = list(world.db.images.find({}))
    named = Counter(key for image in images for key in keys_of(image))
    return [image for image in images if all(named[key] == 1 for key in keys_of(image))]


def test_the_products_own_work_is_clean(world: World) -> None:
    """What workers wrote agrees: every import, every image, every byte of every blob."""
    told = imports(world, "verify")
    assert told["findings"] == []
    assert told["checked"]["imports"] == told["checked"]["images"] == len(world.accepted)
    assert told["checked"]["blobs"] >= len(world.accepted)


def test_what_was_broken_is_made_again_by_the_workers(world: World) -> None:
    """A lost thumbnail, a changed original and a lost image entry: repaired, and served as before."""
    first, second, third = unshared(world)[:3]
    folder: Path = world.folder / "blobs"
    (folder / first["thumbnails"][0]["key"]).unlink()
    changed = folder / second["original"]["key"]
    changed.chmod(0o640)
    changed.write_bytes(changed.read_bytes()[::-1])
    world.db.images.delete_one({"_id": third["_id"]})
    found = imports(world, "repair", "--dry-run", code=1)["findings"]
    assert {one["kind"] for one in found} == {"blob_missing", "blob_changed", "import_without_image"}
    assert {one["outcome"] for one in imports(world, "repair")["findings"]} == {"repaired"}
    world.rest()
    world.idle()
    assert world.audit().faults() == {}
    assert imports(world, "verify")["findings"] == []
    assert world.image(third["_id"])["sha256"] == third["sha256"]


def test_many_doors_and_one_key_make_one_import(world: World) -> None:
    """Sixteen equal requests at once, through real sockets: one import, and one answer that is no replay."""
    name, attachment_id = next(iter(world.samples().items()))
    form = {"attachment_id": attachment_id, "filename": name}

    def post(number: int) -> tuple[str, str | None]:
        shuffled = dict(reversed(form.items())) if number % 2 else form
        answer = world.http.post(
            f"{world.url}/api/v1/imports", data=shuffled, headers={"Idempotency-Key": '"one"'}, timeout=15
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["id"], answer.headers.get("Idempotent-Replayed")

    before = world.db.imports.count_documents({})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(16)))
    assert len({import_id for import_id, _ in answers}) == 1
    assert [replayed for _, replayed in answers].count(None) == 1
    assert world.db.imports.count_documents({}) == before + 1
    world.accepted[answers[0][0]] = name
    world.rest()
    world.idle()
    assert world.audit().faults() == {}

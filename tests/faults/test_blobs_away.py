"""The blob store full, read-only or failing: imports wait and no record names a file that is not there.

The store is a folder on a small file system of its own, which a test fills, or makes read-only.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.faults.disks import full, read_only, small_disk_at
from tests.unit.workers.pictures import saved
from tests.world import World

HEAL_SECONDS = 90.0  # threefold what is promised
SIZE = 8 << 20


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of a few megabytes."""
    with small_disk_at(tmp_path_factory.mktemp("disk"), size=SIZE) as folder:
        yield folder


@pytest.fixture(scope="module")
def world(small_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The product, its blobs on the small disk."""
    (small_disk / "blobs").mkdir()
    environ = {"BLOBS_URL": (small_disk / "blobs").as_uri()}
    with World(tmp_path_factory.mktemp("world"), environ=environ) as world:
        yield world


def in_trouble(world: World, name: str) -> list[str]:
    """Submit imports that cannot be stored; return their ids once each has met the trouble."""
    # Pictures that the store has not seen: one that is there already needs no room.
    pictures = {f"{name} {side}.png": picture(side) for side in (300, 410, 520)}
    ids = [world.submit(world.attach(title, data), title) for title, data in pictures.items()]
    world.until(lambda: all(met(world.document(one)) for one in ids), seconds=60)
    for one in ids:
        document = world.document(one)
        assert document["status"] in ("queued", "fetching", "fetched", "rendering")
        assert document["attempts"] == 0
        assert world.db.images.find_one({"import_id": one}) is None
    return ids


def met(document: dict[str, Any]) -> bool:
    """Tell whether an import has come back from a stage because a store could not serve."""
    return any(
        entry.get("code") in ("blobs_unavailable", "spool_unavailable") for entry in document["history"]
    )


def heals(world: World, since: int) -> None:
    world.rest(seconds=HEAL_SECONDS)
    world.idle(seconds=HEAL_SECONDS)
    faults = world.audit().faults()
    assert faults == {}
    said = world.sandbox.text[since:]
    assert "Traceback" not in said
    assert '"status": 500' not in said


def picture(side: int) -> bytes:
    """Return a picture of some hundred kilobytes that no other one shares its bytes with."""
    noise = Image.effect_noise((side, side), 90)
    return saved(Image.merge("RGB", (noise, noise.rotate(90), noise.rotate(180))), "PNG")


@pytest.mark.parametrize("kind", ["full", pytest.param("read-only", marks=pytest.mark.slow)])
def test_a_blob_store_that_takes_nothing_is_waited_for(world: World, small_disk: Path, kind: str) -> None:
    """No attempt is counted, no image appears, what is there is still served, and all is done after it."""
    since = len(world.sandbox.text)
    (earlier,) = [world.submit(one, name) for name, one in list(world.samples().items())[:1]]
    world.rest()
    world.idle()
    url = world.image(world.get(earlier)["image_id"])["thumbnails"][0]["url"]
    with {"full": full, "read-only": read_only}[kind](small_disk):
        in_trouble(world, kind)
        assert world.blob(url).status_code == 200
    heals(world, since)


def test_a_write_that_fails_in_the_middle_is_waited_for(world: World) -> None:
    """The workers may write two thousand bytes to a file and no more: nothing half-written is ever named."""
    since = len(world.sandbox.text)
    pids = [pid for process in ("fetch", "render") for pid in world.workers(process)]
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids}
    for pid, (_soft, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        in_trouble(world, "error")
    finally:
        for pid, limits in before.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    heals(world, since)


def test_thumbnails_that_find_no_room_are_waited_for(world: World, small_disk: Path) -> None:
    """The disk fills up between an original and its thumbnails: the record waits for the bytes."""
    since = len(world.sandbox.text)
    workers = world.workers("render")
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        import_id = world.submit(world.attach("no room.png", picture(630)), "no room.png")
        world.until(lambda: world.document(import_id)["status"] == "fetched")
    finally:
        filling = full(small_disk)
        filling.__enter__()
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    try:
        world.until(lambda: met(world.document(import_id)), seconds=60)
        assert world.db.images.find_one({"import_id": import_id}) is None
    finally:
        filling.__exit__(None, None, None)
    heals(world, since)


def test_a_file_that_is_lost_later_is_a_404_with_a_code(world: World, small_disk: Path) -> None:
    """The image is still shown; its file is answered as missing, and served again once it is restored."""
    name, attachment_id = list(world.samples().items())[1]
    import_id = world.submit(attachment_id, name)
    world.rest()
    image = world.image(world.get(import_id)["image_id"])
    kept = world.db.images.find_one({"_id": image["id"]})
    assert kept is not None
    keys = [kept["original"]["key"], *(one["key"] for one in kept["thumbnails"])]
    urls = [image["original"]["url"], *(one["url"] for one in image["thumbnails"])]
    for key, url in zip(keys, urls, strict=True):
        file = small_disk / "blobs" / key
        hidden = small_disk / "hidden"
        file.rename(hidden)
        answer = world.blob(url)
        assert (answer.status_code, answer.json()["code"]) == (404, "file_missing")
        assert world.image(image["id"]) == image
        hidden.rename(file)
        assert world.blob(url).status_code == 200

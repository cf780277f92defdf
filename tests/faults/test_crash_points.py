"""Kill -9 between any two steps of accept, claim, fetch, put, record, succeed and dispatch, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import crashing
from tests.faults.midjob import small_picture
from tests.faults.procfiles import rewired, world_of
from tests.world import World

POINTS = (
    # Met by whoever comes after another victim: the sweeper, when a lease has run out.
    "sweep.freed",
    "sweep.asked",
    "accept.judged",
    "accept.written",
    "accept.rung",
    "dispatch.sent_fetch",
    "fetch.due",
    "fetch.claimed",
    "fetch.received",
    "blob.written",
    "blob.named",
    "fetch.done",
    "fetch.ended",
    "fetch.dispatched",
    "render.due",
    "render.claimed",
    "render.decoded",
    "render.stored_large",
    "render.stored_medium",
    "render.stored_small",
    "render.done",
    "record.entered",
    "render.ended",
    "render.dispatched",
)
LATER = POINTS[:2]
LEASE = {"LEASE_SECONDS": "6", "LEASE_RENEW_SECONDS": "2"}  # shorter than by default, to be waited for
# One of each kind: before a write, between two writes to one store, between two stores, in the sweeper.
SOME = (
    "sweep.freed",
    "accept.written",
    "fetch.claimed",
    "blob.named",
    "fetch.ended",
    "fetch.dispatched",
    "render.stored_large",
    "record.entered",
    "render.ended",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("armed", "seen"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    procfile = rewired(folder / "processes", crashing.command)
    # Each death also hits whatever its process has in hand beside the import that is meant.
    environ = {crashing.FOLDER: str(folder), "MAX_DELIVERIES": "50", **LEASE}
    with world_of(folder / "world", procfile, **environ) as world:
        yield world


def walk(world: World, folder: Path, points: tuple[str, ...]) -> None:
    """Have an import of its own die at each of the points, and see all of them end as one image."""
    later = [point for point in points if point in LATER]
    for point in later:
        (folder / "armed" / point).touch()
    for number, point in enumerate(points):
        armed = folder / "armed" / point
        # Bytes that nobody has brought before, or they would be found in place and not be published.
        attachment_id = world.attach(f"{point}.png", small_picture(number))
        if point not in later:
            armed.touch()
        world.submit(attachment_id, f"{point}.png")
        if point not in later:
            world.until(lambda armed=armed: not armed.exists(), seconds=60)
    world.rest()
    world.idle()
    assert list((folder / "armed").iterdir()) == []
    assert world.audit().faults() == {}
    # Also those whose client never heard of them, because the door died between writing and answering.
    assert set(world.db.imports.distinct("status")) == {"succeeded"}
    assert world.db.images.count_documents({}) == world.db.imports.count_documents({})


def test_some_points(world: World, folder: Path) -> None:
    """Whichever process dies at a point of each kind, each import ends as one image."""
    walk(world, folder, SOME)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_point(world: World, folder: Path) -> None:
    """Whichever process dies at whichever point, each import ends as one image, and there is no other point."""
    walk(world, folder, POINTS)
    assert {file.name for file in (folder / "seen").iterdir()} == set(POINTS)

"""The disk of a store is full: nothing is acknowledged that is not kept, and all goes on once there is room."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disks import full, small_disk_at
from tests.faults.ground import Ground

pytestmark = (
    pytest.mark.slow
)  # a quick row of the class: a failed acknowledgement in conformance/test_queue.py
SIZES = {"mongodb": 96 << 20, "redis": 16 << 20}
POSTS = 12
MOST_POSTS = 1_500
BALLAST = "ballast " * 5_000
FULL_SECONDS = 4.0  # several looks of the sweeper


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with (
        small_disk_at(tmp_path / "mongodb", size=SIZES["mongodb"]),
        small_disk_at(tmp_path / "redis", size=SIZES["redis"]),
    ):
        yield tmp_path


@pytest.fixture
def ground(folder: Path) -> Iterator[Ground]:
    with Ground(folder) as ground:
        yield ground


def test_a_full_disk_of_redis_costs_time_only(ground: Ground, folder: Path) -> None:
    """It refuses every write: POSTs are answered 200 all the same, and done when there is room."""
    since = ground.place()
    before, _ = ground.post(4)
    with full(folder / "redis"):
        ground.world.until(lambda: ground.world.redis.info("persistence")["aof_last_write_status"] == "err")
        during, _ = ground.post(POSTS)
        time.sleep(FULL_SECONDS)
    ground.heals(since)
    assert {one["attempts"] for one in ground.kept([*before, *during]).values()} == {0}


def test_a_full_disk_of_mongodb_is_a_503(ground: Ground, folder: Path) -> None:
    """What it cannot keep is refused, never lost and never a 500; what it has kept ends well.

    A server whose journal met a full disk does not go on by itself: mongod ends, and whoever supervises it starts
    it again once there is room. The product needs no hand.
    """
    since, world = ground.place(), ground.world
    ground.post(4)
    attachment_id = next(iter(world.samples().values()))
    answers: list[int] = []
    with full(folder / "mongodb"):
        while len(answers) < MOST_POSTS and answers[-POSTS:] != [503] * POSTS:
            # The server has some room set aside, which these use up.
            answers.append(world.post(attachment_id, "full", **{"metadatas[ballast]": BALLAST}).status_code)
        assert world.http.get(f"{world.url}/livez", timeout=10).status_code == 200
        time.sleep(FULL_SECONDS)
    with ground.killed("mongodb"):
        pass
    assert set(answers) <= {200, 503}
    assert answers[-1] == 503
    ground.heals(since)

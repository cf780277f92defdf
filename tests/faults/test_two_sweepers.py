"""Two sweepers at the same time: what two of them find due is done once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.midjob import dripping, events, kill, worker_of
from tests.faults.procfiles import rewired, world_of
from tests.world import World

IMPORTS = 8


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    procfile = rewired(tmp_path / "processes", lambda _, line: line, "sweeper2: python -m workers.sweeper")
    with world_of(tmp_path / "world", procfile) as world:
        yield world


@pytest.mark.slow
def test_two_sweepers(world: World) -> None:
    """Both find the same expired leases; each is given back once, and each import is fetched once more."""
    with dripping(world, seconds=60) as attachment_id:
        imports = [world.submit(attachment_id, "small.png") for _ in range(IMPORTS)]
        # As many as an organization may have in work at the same time.
        world.until(lambda: world.db.imports.count_documents({"status": "fetching"}) >= 6)
        claimed = [one for one in imports if world.document(one)["status"] == "fetching"]
        kill(worker_of(world, claimed[0]))
    world.rest()
    world.idle()
    assert world.audit().faults() == {}
    for one in claimed:
        assert (events(world, one).count("lease expired"), events(world, one).count("fetching")) == (1, 2)

"""An import that kills whoever takes it up: it alone fails, after a bounded number of deaths."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.midjob import events, kill, large_picture, worker_of
from tests.world import World


def kills_its_worker(world: World, *, deliveries: int) -> None:
    """Kill the worker each time it renders one picture, until the import has failed; its neighbours succeed."""
    samples = world.samples()
    poison = world.submit(world.attach("poison.png", large_picture()), "poison.png")
    others = [world.submit(attachment_id, name) for name, attachment_id in samples.items()]
    for delivery in range(1, deliveries + 1):
        world.until(
            lambda delivery=delivery: world.db.imports.count_documents(
                {"_id": poison, "status": "rendering", "deliveries": delivery}
            ),
            seconds=60,
        )
        kill(worker_of(world, poison))
    world.rest()
    world.idle()
    document = world.document(poison)
    assert (document["status"], document["error"]["code"]) == ("failed", "worker_killed")
    assert (document["deliveries"], document["attempts"]) == (deliveries, 0)
    assert events(world, poison).count("rendering") == deliveries
    assert world.audit(expected=lambda name: "failed" if name == "poison.png" else "succeeded").faults() == {}
    shown = world.get(poison)
    assert (shown["image_id"], shown["error"]["retryable"]) == (None, True)
    assert {world.document(one)["status"] for one in others} == {"succeeded"}


def test_a_worker_that_dies_each_time(tmp_path: Path) -> None:
    """Three deaths are the bound where three are set, whatever the import did before; nobody else is failed."""
    environ = {"MAX_DELIVERIES": "3", "LEASE_SECONDS": "4", "LEASE_RENEW_SECONDS": "1"}
    with World(tmp_path / "world", environ=environ) as world:
        kills_its_worker(world, deliveries=3)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_by_default(tmp_path: Path) -> None:
    """With the settings as they come the fifth death is the last one."""
    with World(tmp_path / "world") as world:
        kills_its_worker(world, deliveries=5)

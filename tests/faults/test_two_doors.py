"""Two `web` processes side by side on the same stores: each is a whole door, and neither needs the other.

A door is one process that starts no others, so there is no parent of it that could be killed alone. Whoever
wants more of it starts more of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.faults.midjob import kill
from tests.faults.procfiles import rewired, world_of
from tests.journey.sandboxes import children_of
from tests.stores import free_port
from tests.world import World

KEYS = 12
REPETITIONS = 4  # of each, in turn at both doors


class Doors:
    """A world with a second door."""

    def __init__(self, world: World, second: int) -> None:
        self.world, self.urls = world, (world.url, f"http://127.0.0.1:{second}")

    def post(self, url: str, attachment_id: str, key: str) -> requests.Response:
        """Submit over a connection of its own; a 200 is remembered as accepted."""
        answer = requests.post(
            f"{url}/api/v1/imports",
            data={"attachment_id": attachment_id, "import_type": "salesforce"},
            headers={"Authorization": self.world.http.headers["Authorization"], "Idempotency-Key": key},
            timeout=15,
        )
        if answer.status_code == 200:
            self.world.accepted[answer.json()["id"]] = ""
        return answer


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    port = free_port()
    second = f"web2: env PORT={port} python -m ingest.main"
    procfile = rewired(tmp_path / "processes", lambda _, line: line, second)
    with world_of(tmp_path / "world", procfile) as world:
        found = Doors(world, port)
        world.until(lambda: requests.get(f"{found.urls[1]}/readyz", timeout=5).status_code == 200)
        yield found


def test_either_door_takes_what_the_other_knows(doors: Doors) -> None:
    """Repetitions that reach both at once make one import; one killed alone leaves no orphan and stops nobody."""
    world = doors.world
    attachment_id = next(iter(world.samples().values()))
    keys = [str(uuid.uuid4()) for _ in range(KEYS)]
    with ThreadPoolExecutor(8) as clients:
        orders = [(doors.urls[turn % 2], key) for key in keys for turn in range(REPETITIONS)]
        answers = list(clients.map(lambda order: doors.post(order[0], attachment_id, order[1]), orders))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == KEYS == world.db.imports.count_documents({})

    first = world.pid("web")
    assert children_of([first]) == set()
    kill(first)
    survivors = [doors.post(doors.urls[1], attachment_id, str(uuid.uuid4())) for _ in range(4)]
    assert {answer.status_code for answer in survivors} == {200}
    world.back("web", first)
    world.until(lambda: world.http.get(f"{world.url}/readyz", timeout=5).status_code == 200)
    again = doors.post(doors.urls[0], attachment_id, keys[0])
    assert again.headers["Idempotent-Replayed"] == "true"
    world.rest()
    world.idle()
    assert world.audit().faults() == {}

"""Kill every kind of process and both stores in turn while imports are posted: nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.midjob import kill
from tests.faults.posting import Stroke, all_succeeded, post_under
from tests.faults.victims import VICTIMS, of
from tests.world import World

IMPORTS = 200


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "world") as world:
        yield world


def test_two_hundred_imports(world: World) -> None:
    """Two hundred imports posted among eleven deaths all succeed, with one image each and nothing left over."""
    died: list[str] = []

    def killing(name: str) -> Stroke:
        def stroke(world: World) -> None:
            for pid in of(name, world):
                kill(pid)
            died.append(name)

        return stroke

    post_under(world, IMPORTS, [killing(name) for name in VICTIMS])
    assert died == list(VICTIMS)
    all_succeeded(world, IMPORTS)

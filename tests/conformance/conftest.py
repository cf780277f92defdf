"""What the suites of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.organization import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Run a simulated Salesforce for one test."""
    world = World(tmp_path / "salesforce")
    yield world
    world.close()

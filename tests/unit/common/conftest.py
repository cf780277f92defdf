"""What the tests of dispatching share: a Redis in this process, a clock that they move, and imports that wait."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import fakeredis
import pytest
import redis

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    client = fakeredis.FakeRedis(version=7)
    yield client
    client.close()


def many(count: int, name: str = "i") -> list[tuple[str, datetime]]:
    return [(f"{name}{number}", START + timedelta(seconds=number)) for number in range(count)]

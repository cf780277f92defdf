"""The oldest open import is found on a real server, by the workers' side and the door's alike."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from common.documents import database
from common.documents.imports import FETCH, RENDER
from common.documents.overview import Overview, OverviewAtDoor

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_both_sides_tell_the_same_age(mongodb_url: str) -> None:
    """Among hundreds the oldest is told to within a second, by each look."""
    with database.connect(mongodb_url) as client:
        db = database.database(client)
        database.prepare(db)
        accepted = [NOW - timedelta(seconds=40 + number * 7 % 300) for number in range(300)]
        db.imports.insert_many({"open": {"fetch": at}, "created_at": at} for at in accepted)
        here = Overview(db)
        first, second = here.age(FETCH, now=NOW), here.age(FETCH, now=NOW)
        none = here.age(RENDER, now=NOW)
    there = asyncio.run(_at_door(mongodb_url))
    expected = (NOW - min(accepted)).total_seconds()
    assert none is None
    assert there[2] is None
    for age in (first, second, there[0], there[1]):
        assert age is not None
        assert expected - 1 <= age <= expected


async def _at_door(url: str) -> tuple[float | None, float | None, float | None]:
    async with database.connect_door(url) as client:
        oldest = OverviewAtDoor(database.door_database(client))
        return (
            await oldest.age(FETCH, now=NOW),
            await oldest.age(FETCH, now=NOW),
            await oldest.age(RENDER, now=NOW),
        )

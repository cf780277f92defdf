"""What metrics and dashboard tell of groups and rerenders is counted right on a real server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from common.documents import database
from common.documents.overview import OverviewAtDoor
from common.documents.rerenders import Rerenders

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_groups_and_rerenders_are_counted_by_state(mongodb_url: str) -> None:
    """Each state by itself, up to the limit; what has ended is no rerender that waits; both sides tell the same."""
    with database.connect(mongodb_url) as client:
        db = database.database(client)
        database.prepare(db)
        db.import_groups.insert_many({"status": status} for status in ["expanded"] * 5 + ["queued"] * 2)
        waits, held = {"status": "fetched", "due_at": NOW}, {"status": "rendering", "due_at": NOW}
        db.rerenders.insert_many(
            [
                {**waits, "not_before": None},
                {**waits, "not_before": NOW - timedelta(seconds=1)},
                {**waits, "not_before": NOW + timedelta(seconds=60)},
                {**held, "not_before": None},
                {"status": "succeeded"},
            ]
        )
        here = Rerenders(db).standing(NOW)
    groups, there = asyncio.run(_at_door(mongodb_url))
    assert {status: count for status, count in groups.items() if count} == {"queued": 2, "expanded": 3}
    assert here == there == {"waiting": 2, "in_flight": 1, "delayed": 1}


async def _at_door(url: str) -> tuple[dict[str, int], dict[str, int]]:
    async with database.connect_door(url) as client:
        overview = OverviewAtDoor(database.door_database(client))
        return await overview.group_counts(limit=3), await overview.rerenders(now=NOW, limit=100)

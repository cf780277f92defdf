"""The age of the oldest open import is right, whatever was accepted, ended or retried meanwhile; lists are the latest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import mongomock
from hypothesis import given, settings
from hypothesis import strategies as st

from common.documents.imports import FETCH, RENDER
from common.documents.overview import Overview

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
seconds_ago = st.floats(min_value=-3600, max_value=9 * 365 * 86400)


class Ages:
    """A collection in which imports are open, each accepted so many seconds ago."""

    def __init__(self) -> None:
        self.db = mongomock.MongoClient(tz_aware=True).get_database("imports")
        self.overview = Overview(self.db)

    def put(self, *ages: float, stage: str = "fetch") -> None:
        for age in ages:
            at = NOW - timedelta(seconds=age)
            self.db.imports.insert_one({"open": {stage: at}, "created_at": at})

    def end_all(self) -> None:
        self.db.imports.update_many({}, {"$unset": {"open": ""}})


def test_no_open_import_has_no_age() -> None:
    """An empty stage is told apart from one whose oldest import is brand new; ended imports have no age."""
    ages = Ages()
    assert ages.overview.age(FETCH, now=NOW) is None
    ages.put(10)
    ages.end_all()
    assert ages.overview.age(FETCH, now=NOW) is None
    ages.put(0)
    assert ages.overview.age(FETCH, now=NOW) == 0


def test_each_stage_has_its_own_oldest() -> None:
    """An old import that waits for its thumbnails does not make the fetch queue look old."""
    ages = Ages()
    ages.put(500, stage="render")
    ages.put(7, stage="fetch")
    assert ages.overview.age(FETCH, now=NOW) == 7
    assert ages.overview.age(RENDER, now=NOW) == 500


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(seconds_ago, min_size=1, max_size=6), min_size=1, max_size=4), st.lists(st.booleans())
)
def test_the_answer_is_the_minimum(rounds: list[list[float]], ends: list[bool]) -> None:
    """Whatever is accepted, ended and opened again, the answer stays right."""
    ages = Ages()
    still: list[float] = []
    for number, put in enumerate(rounds):
        if number < len(ends) and ends[number]:
            ages.end_all()
            still = []
        ages.put(*put)
        still += put
        answer = ages.overview.age(FETCH, now=NOW)
        assert answer is not None
        # Documents keep milliseconds, and the age of what lies ahead of our clock is nought.
        assert max(0.0, *still) - 0.002 <= answer <= max(0.0, *still) + 0.002


@settings(max_examples=40, deadline=None)
@given(st.lists(seconds_ago, max_size=30), st.integers(min_value=1, max_value=40))
def test_a_list_is_the_latest_of_all(accepted: list[float], limit: int) -> None:
    """However far apart imports lie, a list is of the latest ones, in their order, and as long as it may be."""
    ages = Ages()
    ages.put(*accepted)
    shown = [one["created_at"] for one in ages.overview.latest(match={}, limit=limit, now=NOW)]
    kept = sorted((one["created_at"] for one in ages.db.imports.find()), reverse=True)
    assert shown == kept[:limit]

"""The oldest open import is found by bounded probes, whatever was accepted, ended or retried meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import mongomock
from hypothesis import given, settings
from hypothesis import strategies as st

from common.documents.imports import FETCH, RENDER
from common.documents.oldest import Oldest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
seconds_ago = st.floats(min_value=-3600, max_value=9 * 365 * 86400)


class Ages:
    """A collection in which imports are open, each accepted so many seconds ago."""

    def __init__(self) -> None:
        self.db = mongomock.MongoClient(tz_aware=True).get_database("imports")
        self.oldest = Oldest(self.db)

    def put(self, *ages: float, stage: str = "fetch") -> None:
        for age in ages:
            at = NOW - timedelta(seconds=age)
            self.db.imports.insert_one({"open": {stage: at}, "created_at": at})

    def end_all(self) -> None:
        self.db.imports.update_many({}, {"$unset": {"open": ""}})


def test_no_open_import_has_no_age() -> None:
    """An empty stage is told apart from one whose oldest import is brand new; ended imports have no age."""
    ages = Ages()
    assert ages.oldest.age(FETCH, now=NOW) is None
    ages.put(10)
    ages.end_all()
    assert ages.oldest.age(FETCH, now=NOW) is None
    ages.put(0)
    assert ages.oldest.age(FETCH, now=NOW) == 0


def test_each_stage_has_its_own_oldest() -> None:
    """An old import that waits for its thumbnails does not make the fetch queue look old."""
    ages = Ages()
    ages.put(500, stage="render")
    ages.put(7, stage="fetch")
    assert ages.oldest.age(FETCH, now=NOW) == 7
    assert ages.oldest.age(RENDER, now=NOW) == 500


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(seconds_ago, min_size=1, max_size=6), min_size=1, max_size=4), st.lists(st.booleans())
)
def test_the_answer_is_the_minimum_to_within_a_second(rounds: list[list[float]], ends: list[bool]) -> None:
    """Whatever is accepted, ended and opened again before the remembered mark, the answer stays right."""
    ages = Ages()
    still: list[float] = []
    for number, put in enumerate(rounds):
        if number < len(ends) and ends[number]:
            ages.end_all()
            still = []
        ages.put(*put)
        still += put
        answer = ages.oldest.age(FETCH, now=NOW)
        assert answer is not None
        # Documents keep milliseconds, and the age of what lies ahead of our clock is nought.
        assert max(0.0, *still) - 1.002 <= answer <= max(0.0, *still) + 0.002


def test_a_second_look_costs_two_probes() -> None:
    """The remembered mark pays: with the oldest import still open, two probes find it again."""
    ages = Ages()
    ages.put(86_400, 3_600, 60)
    ages.oldest.age(FETCH, now=NOW)
    probes: list[tuple[datetime, datetime]] = []
    ask = ages.oldest._imports.any_open
    ages.oldest._imports.any_open = lambda stage, low, high: (  # type: ignore[method-assign]
        probes.append((low, high)) or ask(stage, low, high)
    )
    assert ages.oldest.age(FETCH, now=NOW + timedelta(seconds=5)) == 86_405
    assert len(probes) == 2

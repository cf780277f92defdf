"""The store's time, told between two looks at it, and followed when somebody sets it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common.documents.clock import MEASURE_SECONDS, StoreClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Store:
    """A store whose clock a test sets, and a machine whose monotonic clock a test moves."""

    def __init__(self) -> None:
        self.time, self.monotonic = NOON, 1_000.0
        self.way = 0.0  # seconds of a round trip

    def pass_(self, seconds: float) -> None:
        self.monotonic += seconds
        self.time += timedelta(seconds=seconds)

    def hello(self) -> dict[str, datetime]:
        self.pass_(self.way / 2)
        told = self.time
        self.pass_(self.way / 2)
        return {"localTime": told}


@pytest.fixture
def store() -> Store:
    return Store()


def test_it_goes_on_between_two_looks(store: Store) -> None:
    """One look is enough to know the store's time for as long as nobody sets it, half the way there counted."""
    clock = StoreClock(lambda: store.monotonic)
    store.way = 4.0
    clock.measure(store.hello)
    assert clock() == store.time
    store.pass_(30)
    assert clock() == store.time


@pytest.mark.parametrize("step", [timedelta(days=2), timedelta(hours=-1)])
def test_a_clock_that_is_set_is_followed_at_the_next_look(store: Store, step: timedelta) -> None:
    """Forward or back: everybody goes by the new time within a minute, and so all of them by the same."""
    clock = StoreClock(lambda: store.monotonic)
    clock.measure(store.hello)
    store.time += step
    assert not clock.is_due()
    store.pass_(MEASURE_SECONDS)
    assert clock() == store.time - step
    assert clock.is_due()
    clock.measure(store.hello)
    assert clock() == store.time
    assert not clock.is_due()


def test_the_look_that_was_answered_soonest_counts(store: Store) -> None:
    """An answer that was long on its way back tells a time that is over; processes stay within a millisecond."""
    clock = StoreClock(lambda: store.monotonic)
    looks = []
    for back in (0.5, 0.002, 0.25):
        sent = store.monotonic
        told = store.time
        store.pass_(back)
        looks.append(clock.look({"localTime": told}, sent=sent))
    clock.learn(looks)
    assert abs(clock() - store.time) <= timedelta(milliseconds=1)

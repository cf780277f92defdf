"""What falls when is known beforehand, and what a run imports is known to the byte."""

from __future__ import annotations

import pytest

from tests.chaos import pictures, schedule
from tests.chaos.faults import KINDS
from tests.unit.workers.pictures import seen
from workers.failures import Permanent


def test_a_seed_is_a_plan() -> None:
    """The same seed gives the same faults at the same times; another one gives others."""
    one, again, other = (schedule.plan(seed, minutes=10, kinds=list(KINDS), faults=65) for seed in (1, 1, 2))
    assert one == again
    assert [fault.kind for fault in one] != [fault.kind for fault in other]


@pytest.mark.parametrize("seed", range(1, 21))
def test_a_full_run_meets_every_kind_while_posting(seed: int) -> None:
    """Ten minutes bring at least sixty faults, in order, every kind among them, a blackout as the last."""
    posting = schedule.posting_seconds(10)
    plan = schedule.plan(seed, minutes=10, kinds=list(KINDS), faults=schedule.amount(10))
    times = [fault.at for fault in plan]
    assert len(plan) >= 60
    assert times == sorted(times)
    assert times[0] >= schedule.QUIET_SECONDS
    assert times[-1] < posting
    assert {fault.kind for fault in plan} == set(KINDS)
    assert plan[-1].kind == schedule.LAST


def test_pictures_are_the_same_for_a_seed_and_different_from_each_other() -> None:
    """No two imports of a run share their bytes, so that each stands for itself in the blobs."""
    drawn = [pictures.draw(1, number) for number in range(120)]
    assert drawn == [pictures.draw(1, number) for number in range(120)]
    contents = [picture.content for picture in drawn if picture.content is not None]
    assert len(set(contents)) == len(contents)
    kinds = {picture.name.partition("-")[0] for picture in drawn}
    assert kinds == {"good", *pictures.CODES}


@pytest.mark.parametrize("number", range(0, 120, 7))
def test_a_good_picture_is_rendered(number: int) -> None:
    """What must succeed under faults succeeds without them."""
    picture = pictures.draw(3, number)
    if picture.name.startswith("good-") and picture.content is not None:
        assert len(seen(picture.content).variants) == 3
    else:
        assert pictures.end_of(picture.name) == "failed"


@pytest.mark.parametrize("number", range(9, 240, 10))
def test_a_hostile_picture_has_its_known_end(number: int) -> None:
    """The renderer refuses it with one of the codes that the harness expects of its kind."""
    picture = pictures.draw(3, number)
    assert pictures.end_of(picture.name) == "failed"
    if picture.content is not None:
        with pytest.raises(Permanent) as refused:
            seen(picture.content)
        assert refused.value.code in pictures.codes_of(picture.name)

"""The figures are counted rightly from histories, and no bad number passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.chaos import figures
from tests.chaos.figures import Claims, Recovery
from tests.chaos.report import Fell, Report
from tests.world import Audit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def document(*events: dict[str, Any], fence: int, created: float = 0.0, **more: Any) -> dict[str, Any]:
    history = [{"at": after(at), **event} for at, event in enumerate(events)]
    whole = {"history": history, "fence": fence, "created_at": after(created), "stages": {}, "error": None}
    return {**whole, **more}


def claim(stage: str, fence: int) -> dict[str, Any]:
    return {"event": stage, "fence": fence}


def test_a_plain_way_costs_what_it_needs() -> None:
    """One fetch and one render, none of them repeated."""
    plain = document(
        {"event": "queued"},
        claim("fetching", 1),
        {"event": "fetched", "fence": 1},
        claim("rendering", 2),
        {"event": "succeeded", "fence": 2},
        fence=2,
    )
    assert figures.claims([plain]) == Claims(made=2, needed=2, explained=0)
    assert figures.claims([plain]).repeated == 0


def test_a_failed_answer_explains_the_next_claim_and_a_killed_worker_does_not() -> None:
    """What Salesforce spoilt is not counted as repeated; what a silent worker lost is."""
    spoilt = document(
        {"event": "queued"},
        claim("fetching", 1),
        {"event": "queued", "fence": 1, "code": "answer_truncated"},
        claim("fetching", 2),
        {"event": "lease expired", "fence": 2},
        claim("fetching", 3),
        {"event": "failed", "fence": 3, "code": "attachment_not_found"},
        fence=3,
    )
    counted = figures.claims([spoilt])
    assert (counted.made, counted.needed, counted.explained, counted.repeated) == (3, 1, 1, 1)
    assert figures.lost_claims(spoilt) == 1
    assert figures.lost_claims({**spoilt, "error": {"code": "worker_killed"}}) == 2


def test_recovery_counts_from_the_last_healing_and_grants_the_work() -> None:
    """The last end decides; imports that were open then may cost what their renders cost."""
    stages = {"render": {"started_at": after(0), "ended_at": after(2)}}
    late = [
        document({"event": "queued"}, {"event": "succeeded"}, fence=2, stages=stages),
        document(*[{"event": "queued"}] * 20, {"event": "succeeded"}, fence=2, stages=stages),
    ]
    measured = figures.recovery(late, healed_at=after(5), renderers=2)
    assert measured == Recovery(open_then=1, seconds=15.0, work_seconds=1.0)
    assert measured.beyond_work == 14.0
    assert figures.recovery(late, healed_at=after(60), renderers=2).seconds == 0.0


def good(**more: Any) -> Report:
    whole: dict[str, Any] = {
        "seed": 1,
        "imports": 100,
        "minutes": 1.0,
        "claims": Claims(200, 200, 0),
        "recovery": Recovery(3, 12.0, 1.0),
        "keys_are_kept": True,
        **more,
    }
    return Report(**whole)


def test_a_good_run_passes() -> None:
    """The verdict can be good; a fault that found nobody is told and is no failure."""
    assert good().passed
    assert good(faults=[Fell(1, "kill web", 1.0, True, trouble="missed: nobody plays that role")]).passed


@pytest.mark.parametrize(
    "bad",
    [
        *({"audit": Audit(**{kind: ["x"]})} for kind in Audit.__slots__),
        {"wrong_codes": ["x"]},
        {"unexpected_answers": ["POST 500"]},
        {"given_up": ["x"]},
        {"faults": [Fell(1, "kill web", 1.0, True, trouble="it did not come about in time")]},
        {"processes_left": [1]},
        {"claims": Claims(221, 200, 0)},
        {"claims": None},
        {"most_lost_claims": 6},
        {"recovery": Recovery(3, 31.1, 1.0)},
    ],
    ids=str,
)
def test_each_bad_number_fails_the_run(bad: dict[str, Any]) -> None:
    """None of the numbers is only for show: each one alone turns the verdict."""
    report = good(**bad)
    assert not report.passed
    assert "FAILED" in report.table()
    assert report.as_json()["passed"] is False

"""Claims are renewed until they are let go; one that is lost stops its work, and is said once it is certain."""

from __future__ import annotations

import pytest

from common.documents.claims import Claim
from common.documents.imports import FETCH
from tests.unit.workers.test_pipeline import Line


@pytest.fixture
def line() -> Line:
    return Line()


def claimed(line: Line) -> Claim:
    claim = line.imports.claim(line.get(line.put()), FETCH, owner="worker", now=line.now, lease=15)
    assert claim is not None
    return claim


def test_a_claim_that_has_just_ended_is_not_said_to_be_lost(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its end may be written and not yet answered while it is renewed: nothing is wrong, and nothing is said."""
    claim = claimed(line)
    with line.leases.hold(line.imports, claim):
        line.imports.failed(claim, code="c", detail="d", retryable=False, now=line.now)
        line.leases.renew()
    line.leases.renew()
    assert "claim lost" not in capsys.readouterr().out


def test_work_whose_claim_is_lost_is_told_to_stop(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    """A claim that somebody else ended stops its work at once; where the work goes on all the same, that is said."""
    claim = claimed(line)
    with line.leases.hold(line.imports, claim) as stop:
        line.imports.end(line.get(claim.id), "canceled", code=None, detail="", retryable=False, now=line.now)
        line.leases.renew()
        assert stop.is_set()
        for _ in range(3):
            line.leases.renew()
    assert capsys.readouterr().out.count("claim lost") == 1

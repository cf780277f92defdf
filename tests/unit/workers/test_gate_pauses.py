"""A gate's pause grows with each probe that fails, and not with the number of those that failed together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from common.documents.imports import FETCH
from tests.unit.workers.test_pipeline import NOW, Line, raising
from workers.failures import Throttled


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.redis.close()


def quota() -> Throttled:
    return Throttled("salesforce_quota", "x", waiting_for="salesforce_quota", probe_after=60, probe_cap=900)


def gate(line: Line) -> dict[str, Any]:
    organization = line.organizations.find("org")
    assert organization is not None
    return dict(organization["gate"])


def pause(line: Line) -> float:
    probe_at: datetime = gate(line)["probe_at"].replace(tzinfo=NOW.tzinfo)
    return (probe_at - line.now).total_seconds()


def test_those_that_fail_together_close_the_gate_once(line: Line) -> None:
    """Six imports under way when the calls run out make one pause of a minute, and none of a quarter of an hour."""
    claims = []
    for _ in range(6):
        claim = line.imports.claim(line.get(line.put()), FETCH, owner="w", now=line.now, lease=15)
        assert claim is not None
        claims.append(claim)
    for claim in claims:
        line.now += timedelta(milliseconds=100)
        line.pipeline._wait(line.pipeline.steps["fetch"], claim, quota())
    assert 59 <= pause(line) <= 60
    assert gate(line)["wait"] == 120


def test_each_probe_that_fails_doubles_the_pause(line: Line) -> None:
    """A minute, two, four, up to a quarter of an hour."""
    line.fetch = raising(quota())
    line.pipeline.run("fetch", line.put())
    pauses = [pause(line)]
    for _ in range(5):
        line.now += timedelta(seconds=pauses[-1] + 1)
        line.pipeline.run("fetch", line.put())
        pauses.append(pause(line))
    assert pauses == [60, 120, 240, 480, 900, 900]

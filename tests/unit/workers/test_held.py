"""A child of a group waits by itself while the calls are for the organization's business; the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from common.queue import allowance
from tests.unit.workers.test_pipeline import NOW, ORIGINAL, Line, raising
from workers.failures import Permanent, Throttled, Transient
from workers.gates import Gates
from workers.quota import FRESH_SECONDS, Allowances, Rule

GROUP = {"group_id": "7c1b0a52-5f0f-4a57-9a53-0d6f0c6a7f22"}


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    line.allowances = Allowances(  # type: ignore[attr-defined]
        line.redis, Rule(), now=lambda: line.now.timestamp(), monotonic=lambda: line.now.timestamp()
    )
    line.gates = Gates(line.organizations, clock=lambda: line.now, allowances=line.allowances)  # type: ignore[attr-defined]
    line.pipeline._gates = line.gates
    yield line
    line.redis.close()


def told(line: Line, used: int) -> None:
    """Let a worker have been told how many of a hundred calls are used."""
    line.allowances.of("org").saw(used, 100)  # type: ignore[attr-defined]


def test_a_child_is_held_and_a_single_import_goes_on(line: Line) -> None:
    """Above the floor and below the reserve: the child says for what it waits and until when, unclaimed."""
    told(line, 85)
    child, single = line.put(**GROUP), line.put()
    line.pipeline.run("fetch", child)
    line.pipeline.run("fetch", single)
    held = line.get(child)
    assert (held["status"], held["waiting_for"], held["fence"]) == ("queued", "salesforce_quota", 0)
    assert held["expected_at"].replace(tzinfo=NOW.tzinfo) > line.now
    assert held["due_at"].replace(tzinfo=NOW.tzinfo) == line.now + timedelta(seconds=60)
    assert line.get(single)["status"] == "fetched"
    organization = line.organizations.find("org")
    assert organization is not None
    assert organization["gate"] is None


def test_a_held_child_stands_before_nobody(line: Line) -> None:
    """Its bell is taken back, so that whoever is behind it is rung for."""
    told(line, 85)
    children = [line.put(**GROUP) for _ in range(5)]
    single = line.put()
    assert single not in line.dispatched()
    for child in children:
        line.pipeline.run("fetch", child)
    assert line.dispatched() == {single}


def test_nobody_rings_for_a_held_child(line: Line) -> None:
    """While the numbers are fresh a child that is due is left alone; when they are old one may look."""
    told(line, 85)
    child = line.get(line.put(**GROUP))
    assert line.gates.holds(child)
    assert not line.gates.holds({**child, "group_id": None})
    assert not line.gates.holds({**child, "status": "fetched"})
    line.now += timedelta(seconds=FRESH_SECONDS + 1)
    assert not line.gates.holds(child)


def test_calls_that_came_free_let_a_child_go(line: Line) -> None:
    """A later answer that tells of more calls ends the wait, and nothing of it remains on the import."""
    told(line, 85)
    child = line.put(**GROUP)
    line.pipeline.run("fetch", child)
    line.now += timedelta(seconds=2)
    told(line, 10)
    line.pipeline.run("fetch", child)
    done = line.get(child)
    assert (done["status"], done["waiting_for"], done["expected_at"]) == ("fetched", None, None)


def test_a_child_that_had_to_look_waits_without_closing_the_gate(line: Line) -> None:
    """What the source finds out about the reserve counts nothing and holds up nobody else."""
    until = NOW + timedelta(hours=3)
    line.fetch = raising(
        Throttled(
            "salesforce_quota",
            "few are left",
            waiting_for="salesforce_quota",
            scope="import",
            probe_after=60,
            expected_at=until,
        )
    )
    child = line.put(**GROUP)
    line.pipeline.run("fetch", child)
    held = line.get(child)
    assert (held["status"], held["attempts"], held["deliveries"]) == ("queued", 0, 0)
    assert held["expected_at"].replace(tzinfo=NOW.tzinfo) == until
    assert 48 <= (held["not_before"].replace(tzinfo=NOW.tzinfo) - NOW).total_seconds() <= 72
    organization = line.organizations.find("org")
    assert organization is not None
    assert organization["gate"] is None


def test_a_gate_that_closes_for_quota_says_until_when(line: Line) -> None:
    """The organization, and each import that meets its closed gate, carries the expected time."""
    until = NOW + timedelta(hours=3)
    line.fetch = raising(
        Throttled("salesforce_quota", "none is left", waiting_for="salesforce_quota", expected_at=until)
    )
    first, second = line.put(), line.put()
    line.pipeline.run("fetch", first)
    line.pipeline.run("fetch", second)
    for one in (first, second):
        assert line.get(one)["expected_at"].replace(tzinfo=NOW.tzinfo) == until


def spent(failure: Any, calls: int) -> Any:
    failure.calls = calls
    return failure


def test_calls_are_counted_over_all_attempts(line: Line) -> None:
    """Whatever came of it, what an import has cost of the allowance stands in its document."""
    one = line.put()
    assert line.get(one)["calls"] == 0
    for failure in (
        spent(Transient("answer_truncated", "short"), 2),
        spent(Throttled("salesforce_busy", "busy", waiting_for="salesforce_busy", scope="store"), 1),
    ):
        line.fetch = raising(failure)
        line.pipeline.run("fetch", one)
        line.now += timedelta(minutes=10)
    line.fetch = lambda *_: replace(ORIGINAL, calls=2)
    line.pipeline.run("fetch", one)
    assert (line.get(one)["status"], line.get(one)["calls"]) == ("fetched", 5)
    line.pipeline.run("render", one)
    assert line.get(one)["calls"] == 5
    other = line.put()
    line.fetch = raising(spent(Permanent("attachment_refused", "no"), 3))
    line.pipeline.run("fetch", other)
    assert (line.get(other)["status"], line.get(other)["calls"]) == ("failed", 3)


def test_what_everybody_sees_is_what_the_workers_know(line: Line) -> None:
    """The numbers by which a child is held are those that the operator's pages read."""
    told(line, 85)
    usage = allowance.read(line.redis, "org", now=line.now.timestamp())
    assert usage is not None
    assert (usage.used, usage.limit, usage.left) == (85, 100, 15)

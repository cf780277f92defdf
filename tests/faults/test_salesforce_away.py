"""Salesforce away or unwilling: imports wait, nothing counts against them, and one of them asks in a while.

Through the proxy the network fails; through the simulated org's own faults the vendor does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.faults.ground import Ground
from workers.sources.salesforce.standing import SUSPECTS

Trouble = Callable[[Ground], AbstractContextManager[None]]
PROBE_SECONDS = 5.0


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with Ground(tmp_path_factory.mktemp("ground")) as ground:
        yield ground


def answers(**fault: Any) -> Trouble:
    """Let every call of the block be answered in one way."""

    @contextmanager
    def trouble(ground: Ground) -> Iterator[None]:
        number = ground.world.control("POST", "faults", {"times": None, **fault})["fault"]
        try:
            yield
        finally:
            ground.world.control("DELETE", f"faults/{number}")

    return trouble


TROUBLES: dict[str, Trouble] = {
    "refuses": lambda ground: ground.salesforce.weather(refuse=True),
    "resets": lambda ground: ground.salesforce.weather(reset=True),
    "is not available": answers(kind="status", status=503),
    "is not available after login": answers(kind="status", status=503, path="/services/data/"),
    "ends each connection": answers(kind="reset"),
}
QUICK = ("refuses",)


def rows() -> list[object]:
    """Every trouble with a handful of imports or, in the full matrix, with many."""
    few = [
        pytest.param(kind, 8, id=kind, marks=[] if kind in QUICK else [pytest.mark.slow]) for kind in TROUBLES
    ]
    many = [
        pytest.param(kind, 200, id=f"{kind}, many", marks=[pytest.mark.slow, pytest.mark.timeout(600)])
        for kind in TROUBLES
    ]
    return [*few, *many]


@pytest.mark.parametrize(("kind", "count"), rows())
def test_an_outage_of_salesforce_fails_nothing(ground: Ground, kind: str, count: int) -> None:
    """The gate closes once, one import in five seconds tries it, none fails, and all are done after it.

    Whether a 503 or a reset is about a record or about the organization shows at the third record: no more
    than the two before it have counted an attempt. A refused connection is never about a record.
    """
    since = ground.place()
    with TROUBLES[kind](ground):
        ids, _ = ground.post(count)
        ground.world.until(lambda: ground.gate() is not None, seconds=30)
        time.sleep(1)  # for those that were on their way when it closed
        before, begun = ground.claims(ids), time.monotonic()
        time.sleep(2.4 * PROBE_SECONDS)
        probes, lasted = ground.claims(ids) - before, time.monotonic() - begun
        assert probes <= lasted / PROBE_SECONDS + 1
        assert {document["status"] for document in ground.kept(ids).values()} <= {"queued", "fetching"}
    ground.heals(since)
    attempts = [document["attempts"] for document in ground.kept(ids).values()]
    assert sum(attempts) <= (0 if kind == "refuses" else SUSPECTS - 1)
    assert ground.gate() is None
    assert len(ground.said(since, "gate closed")) == len(ground.said(since, "gate opened")) == 1


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_salesforce_that_says_nothing_fails_nothing(ground: Ground) -> None:
    """Connections that hang cost their time limit and no attempt once the organization is known to be away."""
    since = ground.place()
    with ground.salesforce.weather(stall=True):
        ids, _ = ground.post(8)
        time.sleep(60)
        assert {document["status"] for document in ground.kept(ids).values()} <= {"queued", "fetching"}
    ground.heals(since)
    assert max(document["attempts"] for document in ground.kept(ids).values()) <= 1


def test_a_session_that_has_expired_is_renewed_once(ground: Ground) -> None:
    """All sessions forgotten while imports run: one further login for the process, no attempt, all done."""
    since = ground.place()
    ids, _ = ground.post(4)
    ground.heals(since)
    ground.world.control("DELETE", "stats")
    ground.world.control("DELETE", "sessions")
    ids, _ = ground.post(8)
    ground.heals(since)
    assert [one for one, document in ground.kept(ids).items() if document["attempts"]] == []
    assert ground.world.control("GET", "stats")["logins"] == 1


def test_a_used_up_allowance_is_waited_for(ground: Ground) -> None:
    """REQUEST_LIMIT_EXCEEDED: the wait is named, the first probe comes after a minute and not before."""
    since = ground.place()
    with answers(kind="limit_exceeded", path="/services/data/")(ground):
        ids, _ = ground.post(6)
        ground.world.until(lambda: ground.gate() is not None, seconds=30)
        gate = ground.gate()
        assert gate is not None
        assert gate["waiting_for"] == "salesforce_quota"
        assert (gate["probe_at"] - gate["since"]).total_seconds() > 50
        time.sleep(1)  # for those that were on their way
        before = ground.claims(ids)
        time.sleep(PROBE_SECONDS + 2)
        assert ground.claims(ids) == before
        assert [one for one, document in ground.kept(ids).items() if document["attempts"]] == []
    # An operator who knows that there are calls again opens the gate; else the probe does it later.
    ground.world.db.organizations.update_many({}, {"$set": {"gate": None}})
    ground.heals(since)

"""MongoDB away in the middle of a claim: its worker gives it back later, and no delivery is used up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from common.documents.imports import FETCH
from tests.unit.workers.test_pipeline import Line
from workers import pipeline
from workers.failures import Transient


class Wire:
    """A collection whose updates of imports land or not, and are answered or not, as a test says."""

    def __init__(self, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lands, self.answers = True, True
        for name in ("update_one", "find_one_and_update"):
            write = getattr(line.imports._documents, name)
            monkeypatch.setattr(line.imports._documents, name, self._answered(write))

    def _answered(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*arguments: Any, **options: Any) -> Any:
            result = write(*arguments, **options) if self.lands else None
            if not self.answers:
                raise AutoReconnect("away")
            return result

        return written


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setattr(pipeline, "WRITE_PATIENCE_SECONDS", 0.1)
    return Line()


def away_from_now_on(wire: Wire, *, lands: bool) -> None:
    wire.lands, wire.answers = lands, False


def back(wire: Wire) -> None:
    wire.lands = wire.answers = True


@pytest.mark.parametrize("organization_id", [None, "org"], ids=["read first", "claimed unread"])
@pytest.mark.parametrize("lands", [True, False])
def test_a_claim_that_was_not_answered_is_given_back(
    line: Line, monkeypatch: pytest.MonkeyPatch, lands: bool, organization_id: str | None
) -> None:
    """Whether it had landed or not, the import waits again, with no delivery against it."""
    import_id, wire = line.put(), Wire(line, monkeypatch)
    away_from_now_on(wire, lands=lands)
    line.pipeline.run("fetch", import_id, organization_id)
    assert line.get(import_id)["status"] == ("fetching" if lands else "queued")
    line.leases.renew()  # still away: it goes on owing
    back(wire)
    line.leases.renew()
    kept = line.get(import_id)
    assert (kept["status"], kept["deliveries"], kept["owner"]) == ("queued", 0, None)
    assert line.outcomes == []
    line.pipeline.run("fetch", import_id)
    assert line.get(import_id)["status"] == "fetched"


def test_work_whose_end_could_not_be_written_is_given_back(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim's fruit is lost with the outage; neither a delivery nor an attempt is."""
    import_id, wire = line.put(), Wire(line, monkeypatch)

    def fails(*_: Any) -> Any:
        away_from_now_on(wire, lands=False)
        raise Transient("salesforce_answer", "It came to nothing.")

    line.fetch = fails
    line.pipeline.run("fetch", import_id)
    back(wire)
    line.leases.renew()
    kept = line.get(import_id)
    assert (kept["status"], kept["deliveries"], kept["attempts"]) == ("queued", 0, 0)


def test_an_end_that_landed_unheard_stays(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is owed is given back only while the claim stands as it was made."""
    import_id, wire = line.put(), Wire(line, monkeypatch)
    fetch = line.fetch

    def unheard(*arguments: Any) -> Any:
        away_from_now_on(wire, lands=True)
        return fetch(*arguments)

    line.fetch = unheard
    line.pipeline.run("fetch", import_id)
    back(wire)
    line.leases.renew()
    assert line.get(import_id)["status"] == "fetched"
    assert line.get(import_id)["deliveries"] == 0


def test_another_claim_of_the_same_fence_is_left_alone(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that never arrived has the number of the next one, which somebody else is working under."""
    import_id, wire = line.put(), Wire(line, monkeypatch)
    away_from_now_on(wire, lands=False)
    line.pipeline.run("fetch", import_id)
    back(wire)
    claim = line.imports.claim(line.get(import_id), FETCH, owner="another", now=line.now, lease=15)
    assert claim is not None
    line.leases.renew()
    kept = line.get(import_id)
    assert (kept["status"], kept["owner"], kept["fence"]) == ("fetching", "another", claim.fence)


def test_a_long_outage_is_told_once(
    line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each further message and each further beat of it says nothing; the next outage is told again."""
    ids, wire = [line.put() for _ in range(2)], Wire(line, monkeypatch)
    said: list[str] = []
    for module in ("workers.leases.log", "workers.pipeline.log"):
        monkeypatch.setattr(f"{module}.warning", lambda event, **_: said.append(event), raising=False)
    for expected in (1, 2):
        away_from_now_on(wire, lands=False)
        for import_id in ids:
            line.pipeline.run("fetch", import_id)
        line.leases.renew()
        line.leases.renew()
        assert said.count("documents away") == said.count("claims not renewed") == expected
        back(wire)
        line.leases.renew()
        line.now += timedelta(seconds=1)
        line.pipeline.run("render", ids[0])


def test_threads_that_find_out_together_tell_it_once(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch worker has many threads, which give up on a store that says nothing in the same moment."""
    ids, wire = [line.put() for _ in range(2)], Wire(line, monkeypatch)
    said: list[str] = []

    def tell(event: str, **_: Any) -> None:
        said.append(event)
        if len(said) < 5:  # while these words are written, another message meets the same store
            line.pipeline.run("fetch", ids[1])

    monkeypatch.setattr("workers.pipeline.log.warning", tell, raising=False)
    away_from_now_on(wire, lands=False)
    line.pipeline.run("fetch", ids[0])
    assert said == ["documents away"]

"""`queues` tells how much is to be done in exactly the shape that others read."""

from __future__ import annotations

from tests.unit.workers.operate.conftest import Imports

KEYS = ["queue", "waiting", "in_flight", "delayed", "dead", "depth", "oldest_age_s"]


def test_empty_queues_are_told_in_full(imports: Imports) -> None:
    """Both queues are there with noughts; no import has no age."""
    told = imports.json("queues")
    assert [list(one) for one in told] == [KEYS, KEYS, KEYS]
    assert [one["queue"] for one in told] == ["fetch", "render", "rerender"]
    assert all(one["depth"] == 0 and one["oldest_age_s"] is None for one in told)


def test_waiting_imports_have_depth_and_age(imports: Imports) -> None:
    """A retried import waits in its queue and is as old as its acceptance."""
    error = {"code": "image_corrupt", "detail": "Broken.", "retryable": False}
    one = imports.put("1a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0001", age=500, status="failed", error=error)
    imports.json("retry", one)
    fetch, render, rerender = imports.json("queues")
    assert rerender["depth"] == 0
    assert (fetch["waiting"], fetch["depth"]) == (1, 1)
    assert 498 < fetch["oldest_age_s"] < 530
    assert render["oldest_age_s"] is None
    assert "8 min" in imports.run("queues").stdout

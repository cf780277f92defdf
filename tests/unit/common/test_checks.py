"""The look at the stores when a process starts: once each, whenever they come, and final only where strict."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.documents import safety as documents_safety
from common.queue import safety as queue_safety
from common.telemetry import checks
from common.telemetry.checks import Check, Look, StoresLook

SAFE = Check("journal", "ok", "there.")
RISK = Check("eviction", "warning", "the policy is allkeys-lru.", "Set `maxmemory-policy noeviction`.")


def looking(*looks: Look, strict: bool) -> tuple[StoresLook, threading.Event]:
    ended = threading.Event()
    return StoresLook(*looks, strict=strict, end=ended.set), ended


def test_a_risk_is_told_once_and_ends_nothing() -> None:
    """A warning names the risk and the cure; the process goes on, and nobody looks again."""
    seen: list[int] = []

    def look() -> list[Check]:
        seen.append(1)
        return [SAFE, RISK]

    one, ended = looking(look, strict=False)
    with capture_logs() as lines:
        assert one.once()
        assert one.once()
    assert [(line["risk"], line["advice"]) for line in lines] == [(RISK.detail, RISK.advice)]
    assert (len(seen), ended.is_set(), one.refused) == (1, False, False)


def test_strict_stores_stop_the_start() -> None:
    """With STRICT_STORES the process is told before it has begun anything."""
    one, _ = looking(lambda: [RISK], strict=True)
    with capture_logs() as lines:
        assert one.start() is False
    assert "STRICT_STORES" in lines[-1]["reason"]


def test_safe_stores_stop_nothing_even_where_strict() -> None:
    """Nothing is logged either."""
    one, ended = looking(lambda: [SAFE], lambda: [SAFE], strict=True)
    with capture_logs() as lines:
        assert one.start() is True
    assert (lines, ended.is_set()) == ([], False)


def test_a_store_that_comes_late_is_looked_at_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes start before their stores: the look is made up for, and ends a strict process in good order."""
    monkeypatch.setattr(checks, "LOOK_SECONDS", 0.01)
    answers: list[list[Check] | None] = [None, None, [RISK]]
    one, ended = looking(lambda: answers.pop(0), strict=True)
    assert one.start() is True
    assert ended.wait(5)
    assert one.refused


@pytest.mark.parametrize(
    ("info", "states"),
    [
        ({"aof_enabled": 1, "maxmemory_policy": "noeviction"}, ("ok", "ok")),
        ({"aof_enabled": 0, "maxmemory_policy": "noeviction"}, ("warning", "ok")),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, ("bad", "warning")),
        ({"aof_enabled": 1, "maxmemory_policy": "volatile-ttl"}, ("ok", "warning")),
        (
            {"aof_enabled": 1, "maxmemory_policy": "noeviction", "maxmemory": 100, "used_memory": 95},
            ("ok", "warning"),
        ),
        ({}, ("warning", "warning")),
    ],
)
def test_redis_is_judged_by_what_it_says(info: dict[str, Any], states: tuple[str, str]) -> None:
    """Only an append-only file that is written and a policy that evicts nothing are well."""
    assert (queue_safety.append_only(info).state, queue_safety.eviction(info).state) == states


def test_a_single_mongodb_is_a_risk() -> None:
    """A server that is no replica set keeps the only copy; one that is says so in `hello`."""
    assert documents_safety.replica_set({"isWritablePrimary": True}).state == "warning"
    assert documents_safety.replica_set({"setName": "rs0", "hosts": ["a", "b", "c"]}).state == "ok"

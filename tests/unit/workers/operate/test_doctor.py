"""`doctor` looks at everything and is red exactly when something is bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from common.queue import presence
from tests.stores import free_port
from tests.unit.workers.operate.conftest import SECRET, Imports
from workers.operate.examining import PROCESSES

ROOT = Path(__file__).parents[4]


@pytest.fixture
def world(imports: Imports) -> Imports:
    """Stores that are ready, one organization, and somebody alive in every process."""
    imports.json("prepare")
    words = ("--salesforce-url", "https://acme.my.salesforce.com", "--client-id", "x", "--client-secret", "-")
    imports.json("organization", "add", "Acme", *words, stdin=SECRET)
    with redis.Redis.from_url(imports.env["REDIS_URL"]) as client:
        for process in PROCESSES:
            presence.beat(client, presence.name_of(process))
    return imports


def _states(told: list[dict[str, Any]]) -> dict[str, str]:
    return {one["name"]: one["state"] for one in told}


def test_a_healthy_world_is_green(world: Imports) -> None:
    """Nothing is bad, exit code 0, and the probes leave nothing behind in either store."""
    states = _states(world.json("doctor"))
    assert "bad" not in states.values()
    expected = {
        "settings",
        "MongoDB",
        "journal",
        "indexes",
        "Redis",
        "append-only file",
        "eviction",
        "dispatch",
    }
    expected |= {"replica set", "blobs", "codecs", "clock", "organization Acme", *PROCESSES}
    assert expected <= set(states)
    assert world.db["doctor"].count_documents({}) == 0
    folder = Path(world.env["BLOBS_URL"].removeprefix("file://"))
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert "gate is open" in world.run("doctor").stdout


def test_a_missing_password_of_the_operator_is_told(world: Imports) -> None:
    """Whoever wonders where the dashboard is reads that it is not served, and how it would be; that is no fault."""
    told = {one["name"]: one for one in world.json("doctor")}
    assert "not served" in told["operator"]["detail"]
    assert "not served" not in world.run("doctor", OPERATOR_PASSWORD="rF3xS8-kq0Zp1vN4Lw").stdout


def test_every_process_is_looked_for() -> None:
    """A new line of the Procfile must be looked for as well."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    named = {line.partition(":")[0] for line in lines if line.strip() and not line.startswith("#")}
    assert named - {"web", "release"} == set(PROCESSES)


@pytest.mark.parametrize(
    ("env", "bad"),
    [
        ({"MONGODB_URL": f"mongodb://127.0.0.1:{free_port()}/imports"}, "MongoDB"),
        ({"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}, "Redis"),
        ({"REDIS_URL": "redis://127.0.0.1:many/0"}, "Redis"),
        ({"MONGODB_URL": "mongodb://127.0.0.1:many/imports"}, "MongoDB"),
        ({"BLOBS_URL": "file:///proc/nowhere"}, "blobs"),
        ({"PORT": "many", "TIME_ZONE": "Mars"}, "settings"),
        ({"CREDENTIALS_KEYS": ""}, "organization Acme"),
    ],
)
def test_what_is_bad_is_named_with_what_to_do(world: Imports, env: dict[str, str], bad: str) -> None:
    """One thing broken turns its own line red, with advice, and the exit code to 1."""
    import json

    result = world.run("doctor", "--json", **env)
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {one["name"] for one in told if one["state"] == "bad"} == {bad}
    assert all(one["advice"] for one in told if one["state"] != "ok")


def test_a_key_of_another_type_is_bad(world: Imports) -> None:
    """Imports that wait for such a key are explained by its name, and doctor leaves it as it is."""
    with redis.Redis.from_url(world.env["REDIS_URL"]) as client:
        client.set("imports:backlog:fetch:org", "x")
        told = {one["name"]: one for one in world.json("doctor", code=1)}
        assert told["dispatch"]["state"] == "bad"
        assert "imports:backlog:fetch:org" in told["dispatch"]["detail"]
        assert client.exists("imports:backlog:fetch:org")


def test_missing_indexes_and_dead_workers_are_bad(imports: Imports) -> None:
    """A world that was never prepared and runs nothing says both."""
    states = _states(imports.json("doctor", code=1))
    assert states["indexes"] == "bad"
    assert all(states[process] == "bad" for process in PROCESSES)


def test_a_closed_gate_is_told(world: Imports) -> None:
    """Credentials need a person, so they are bad; a quota passes, so it is a warning."""
    gate = {"code": "c", "detail": "Told by the gate.", "since": 0, "probe_at": None, "wait": 60}
    for waiting_for, state, code in (
        ("salesforce_credentials", "bad", 1),
        ("salesforce_session", "bad", 1),
        ("salesforce_quota", "warning", 0),
    ):
        change = {"$set": {"gate": {**gate, "waiting_for": waiting_for}}}
        world.db.organizations.update_one({}, change)
        assert _states(world.json("doctor", code=code))["organization Acme"] == state


def test_an_organization_without_credentials_is_bad(imports: Imports) -> None:
    """It says what to type, and ends no other check."""
    imports.organization()
    assert _states(imports.json("doctor", code=1))["organization Acme"] == "bad"

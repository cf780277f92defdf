"""What an integrator lives with: a day's limit reached in mid-run, a secret that was changed; nothing fails by it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.journey.albums import ask, fill, look
from tests.unit.workers.pictures import quadrants, saved
from tests.world import World

PICTURE = saved(quadrants((60, 40)), "PNG")
SECRET = "planted-secret-that-is-seen-nowhere"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


def pictures(world: World, name: str, count: int) -> list[str]:
    """Attach so many different pictures and ask for each."""
    asked = []
    for number in range(count):
        file = f"{name}-{number}.png"
        asked.append(world.submit(world.attach(file, PICTURE + name.encode() + number.to_bytes(2)), file))
    return asked


def operate(world: World, *words: str, told: str = "") -> Any:
    """Run the `imports` command with the settings of the running processes, and the secrets of the sandbox."""
    variables = Path(f"/proc/{world.pid('sweeper')}/environ").read_bytes().split(b"\0")
    environment = dict(one.decode().split("=", 1) for one in variables if b"=" in one)
    for name in ("token_secrets", "credentials_keys"):  # the sweeper is given none
        environment[f"{name.upper()}_FILE"] = str(world.folder / "secrets" / name)
    command = [sys.executable, "-m", "workers.operate", *words, "--json"]
    done = subprocess.run(
        command, env=environment, input=told, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def waiting(world: World, asked: list[str], waiting_for: str) -> list[str]:
    return [one for one in asked if world.get(one)["waiting_for"] == waiting_for]


def everything_kept(world: World) -> bytes:
    """Return all that Redis and MongoDB hold, and all that was logged."""
    with redis.Redis.from_url(world.ready["redis_url"]) as client:
        kept = b"".join(key + (client.dump(key) or b"") for key in client.scan_iter("*"))
    documents = [list(world.db[name].find({})) for name in world.db.list_collection_names()]
    return kept + repr(documents).encode() + world.sandbox.text.encode()


@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's settings from /proc")
@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_changed_secret_lets_all_wait_and_one_command_frees_them(world: World, count: int) -> None:
    """However many wait cost one login a minute; the new secret is given, all finish, and it is seen nowhere."""
    secret = f"{SECRET}-{count}"
    world.control("POST", "clients", {"client_id": "sandbox", "client_secret": secret})
    world.control("DELETE", "stats")
    begun = time.monotonic()
    asked = pictures(world, f"secret-{count}", count)
    some = asked[:: count // 60]
    world.until(lambda: len(waiting(world, some, "salesforce_credentials")) == len(some), seconds=60)
    assert world.db.imports.count_documents({"_id": {"$in": asked}, "status": "queued"}) == count
    tried = world.control("GET", "stats")["calls"]["login"]
    assert tried <= 1 + (time.monotonic() - begun) // 60
    organization_id = world.ready["organization_id"]
    assert operate(world, "organization", "show", organization_id)["gate"]["code"] == "salesforce_credentials"
    operate(world, "organization", "update", organization_id, "--client-secret-file", "-", told=secret)
    world.rest(asked, seconds=60 + count / 4)
    assert world.audit().faults() == {}
    assert world.control("GET", "stats")["logins"] == 1
    assert SECRET.encode() not in everything_kept(world)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's settings from /proc")
def test_imports_wait_for_calls_and_finish_without_an_operator(world: World) -> None:
    """At the floor the calls stop and the imports say why and until when; once calls come free all succeed."""
    world.control("PUT", "limits", {"daily": 1000, "used": 940})
    asked = pictures(world, "quota", 40)
    world.until(lambda: waiting(world, asked, "salesforce_quota"), seconds=60)
    used = world.control("GET", "limits")["used"]
    assert 940 < used <= 1000 - 20 + 12, "calls stop at the floor, bar those that were under way"
    late = world.submit(world.attach("late.png", PICTURE + b"late"), "late.png")
    shown = world.get(late)
    assert (shown["status"], shown["waiting_for"], shown["attempts"]) == ("queued", "salesforce_quota", 0)
    assert shown["expected_at"] is not None
    quota = operate(world, "organization", "show", world.ready["organization_id"])["quota"]
    assert (quota["limit"], quota["floor"], quota["reserve"]) == (1000, 20, 200)
    assert quota["left"] <= 20
    metrics = world.operator("/metrics").text
    assert 'waiting_for="salesforce_quota"' in metrics
    assert "imports_salesforce_calls_ours{" in metrics
    world.control("PUT", "limits", {"used": 0})
    # The gate is probed a minute after it closed.
    world.rest([*asked, late], seconds=110)
    world.idle()
    assert world.audit().faults() == {}
    assert all(2 <= world.get(one)["calls"] <= 6 for one in [*asked, late])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_group_leaves_the_reserve_and_finishes_without_an_operator(world: World) -> None:
    """The day's calls run short in mid-run: they stop at the reserve, nothing fails, and later all are done."""
    case_id, records = fill(world, 60)
    world.control("PUT", "limits", {"daily": 1000, "used": 760})
    group = ask(world, case_id)["id"]

    def held() -> bool:
        children = world.db.imports.find({"group_id": group, "status": "queued"})
        return "salesforce_quota" in [one["waiting_for"] for one in children]

    world.until(held, seconds=60)
    time.sleep(5)  # for those that were under way
    counts = look(world, group)["counts"]
    assert 0 < counts["succeeded"] < len(records)
    assert counts["failed"] == 0
    stopped = world.control("GET", "limits")["used"]
    assert 800 <= stopped <= 800 + 12, "calls stop at the reserve, bar those that were under way"
    time.sleep(10)
    assert world.control("GET", "limits")["used"] == stopped
    world.control("PUT", "limits", {"used": 0})
    world.until(lambda: look(world, group)["counts"]["succeeded"] == len(records), seconds=150)
    assert not world.db.imports.count_documents({"group_id": group, "attempts": {"$gt": 0}})

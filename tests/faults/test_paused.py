"""SIGSTOP longer than a lease, then SIGCONT: whoever slept writes nothing over what was done meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.midjob import events, in_fetch, in_render, kill, worker_of
from tests.world import World

LEASE = {"LEASE_SECONDS": "8", "LEASE_RENEW_SECONDS": "2"}  # shorter than by default, to be waited for
LONGER_THAN_A_LEASE = 20.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # Two fetch workers, so that one is there to carry on while the other sleeps.
    with World(tmp_path_factory.mktemp("world"), environ={"FETCH_PROCESSES": "2", **LEASE}) as world:
        yield world


@contextlib.contextmanager
def asleep(pid: int) -> Iterator[None]:
    """Let a process sleep inside the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wakes_too_late(world: World, import_id: str, pid: int, stage: str) -> None:
    """Have another worker end an import while its first one sleeps, then see the sleeper change nothing."""
    with asleep(pid):
        world.rest([import_id])
        done = world.document(import_id)
        before = world.sandbox.text.count('"outcome": "lost"')
        image = world.db.images.find_one({"import_id": import_id})
    world.until(lambda: world.sandbox.text.count('"outcome": "lost"') > before)
    world.idle()
    assert world.document(import_id) == done
    assert world.db.images.find_one({"import_id": import_id}) == image
    assert world.audit().faults() == {}
    assert events(world, import_id).count(stage) == 2
    assert events(world, import_id).count("lease expired") == 1


def test_the_fetch(world: World) -> None:
    """A worker that sleeps in mid-download loses its claim; what it brings afterwards matches nothing."""
    with in_fetch(world) as import_id:
        sleeper = worker_of(world, import_id)
        os.kill(sleeper, signal.SIGSTOP)
    wakes_too_late(world, import_id, sleeper, "fetching")


def test_the_render(world: World) -> None:
    """A worker that sleeps while its child decodes loses its claim; its entry and its end match nothing."""
    with in_render(world) as import_id:
        sleeper = worker_of(world, import_id)
        os.kill(sleeper, signal.SIGSTOP)
        assert world.document(import_id)["status"] == "rendering"
    wakes_too_late(world, import_id, sleeper, "rendering")


def test_the_door(world: World) -> None:
    """A caller waits while the door sleeps for two seconds, and has one import for one request."""
    name, attachment_id = next(iter(world.samples().items()))
    before = world.db.imports.count_documents({})
    pid = world.kill("web", signal.SIGSTOP)
    waking = threading.Timer(2.0, os.kill, (pid, signal.SIGCONT))
    waking.start()
    answer = world.post(attachment_id, name)
    waking.join()
    assert answer.status_code == 200
    world.rest()
    world.idle()
    assert world.db.imports.count_documents({}) == before + 1
    assert world.audit().faults() == {}


@pytest.mark.slow
def test_the_sweeper(world: World) -> None:
    """No sweeper for longer than a lease only delays what a dead worker left; all else goes on."""
    with in_fetch(world) as import_id:
        sweeper = world.kill("sweeper", signal.SIGSTOP)
        kill(worker_of(world, import_id))
    try:
        began = time.monotonic()
        world.rest([world.submit(one, name) for name, one in world.samples().items()])
        world.until(lambda: time.monotonic() - began > LONGER_THAN_A_LEASE)
        assert world.document(import_id)["status"] == "fetching"
    finally:
        os.kill(sweeper, signal.SIGCONT)
    world.rest()
    world.idle()
    assert world.audit().faults() == {}

"""Descriptors exhausted: the door sheds what it cannot serve and recovers, a worker's imports wait and fail not."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.faults.midjob import events
from tests.faults.procfiles import rewired, world_of
from tests.world import World

DOOR_FILES = 320  # of which 256 are kept for stores and pictures: 64 connections
CROWD = 120
BUSY_SHARE = 0.5  # of a core; a loop that turns for nothing takes all of it

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="another process's limits: Linux only"),
]


def command(name: str, line: str) -> str:
    """Return a line of the Procfile, the door's with few descriptors from its start."""
    return f"sh -c 'ulimit -n {DOOR_FILES}; exec {line}'" if name == "web" else line


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with world_of(folder / "world", rewired(folder / "processes", command)) as world:
        yield world


@contextlib.contextmanager
def no_descriptor_left(pid: int) -> Iterator[None]:
    """Let a process open nothing more inside the block; what it has open stays open."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    lowest_free = next(number for number in itertools.count() if number not in taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def crowd(world: World) -> Iterator[list[socket.socket]]:
    """Open connections and say nothing on them."""
    split = urlsplit(world.url)
    with contextlib.ExitStack() as opened:
        yield [
            opened.enter_context(socket.create_connection((split.hostname, split.port), timeout=5))
            for _ in range(CROWD)
        ]


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answered(connection: socket.socket) -> bytes:
    """Return what a connection was told without having asked, or nothing."""
    connection.settimeout(0.2)
    with contextlib.suppress(OSError):
        return connection.recv(100)
    return b""


def fresh(world: World) -> int:
    """Return the status of a request over a new connection."""
    return requests.get(f"{world.url}/livez", timeout=10, headers={"Connection": "close"}).status_code


def test_a_crowd_at_the_door(world: World) -> None:
    """Beyond what its descriptors allow, callers are told 503; when the crowd is gone, all is as before."""
    before = world.pid("web")
    with crowd(world) as connections:
        told = [answer for answer in map(answered, connections[-20:]) if answer]
        assert told
        assert {answer.split()[1] for answer in told} == {b"503"}
    world.until(lambda: fresh(world) == 200)
    name, attachment_id = next(iter(world.samples().items()))
    world.rest([world.submit(attachment_id, name)])
    assert world.pid("web") == before


def test_a_door_without_a_descriptor(world: World) -> None:
    """It can take no connection, does not turn in circles over it, and goes on when it can again."""
    pid = world.pid("web")
    with no_descriptor_left(pid), contextlib.suppress(OSError), crowd(world):
        began, spent = time.monotonic(), cpu_seconds(pid)
        time.sleep(3)
        assert cpu_seconds(pid) - spent < BUSY_SHARE * (time.monotonic() - began)
    world.until(lambda: fresh(world) == 200)
    assert world.pid("web") == pid
    imports = [world.submit(attachment_id, name) for name, attachment_id in world.samples().items()]
    world.rest(imports)
    world.idle()
    assert world.audit().faults() == {}


def test_a_worker_without_a_descriptor(world: World) -> None:
    """Its imports wait, use up no budget and fail not; when it can open files again they are done."""
    (pid,) = world.workers("fetch")
    with no_descriptor_left(pid):
        imports = [world.submit(attachment_id, name) for name, attachment_id in world.samples().items()]
        met = {"_id": {"$in": imports}, "history.code": "spool_unavailable"}
        world.until(lambda: world.db.imports.count_documents(met) == len(imports))
        spent = cpu_seconds(pid)
        time.sleep(3)
        assert cpu_seconds(pid) - spent < BUSY_SHARE * 3
    world.rest()
    world.idle()
    assert world.audit().faults() == {}
    for one in imports:
        document = world.document(one)
        assert (document["attempts"], document["deliveries"]) == (0, 0), events(world, one)

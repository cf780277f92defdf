"""Kill -9 everything at once, and let it come up again in whatever order, the stores last of all."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from sandbox import processes
from tests.faults.midjob import kill
from tests.faults.victims import descendants
from tests.journey.sandboxes import is_alive, register
from tests.world import World

PROCESSES = ("web", "fetch", "render", "sweeper")
EVERYTHING = (*PROCESSES, "salesforce", "redis", "mongodb")
IMPORTS = 36


class Darkness:
    """Kills everything below a sandbox, then whatever comes up, but for the names that were let go."""

    def __init__(self, world: World, names: Iterable[str]) -> None:
        self._world, self._down = world, set(names)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_down)

    def __enter__(self) -> Darkness:
        for pid in descendants(self._world.sandbox.process.pid):
            _kill(pid)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def let_go(self, name: str) -> int:
        """Leave a process alone from now on; return its number once it is up."""
        self._down.discard(name)

        def stays() -> int | None:
            pid = register(self._world.folder).get(name, 0)
            time.sleep(0.2)  # it may have been killed a moment before it was let go
            return pid if pid == register(self._world.folder).get(name) and is_alive(pid) else None

        return int(self._world.until(stays))

    def _keep_down(self) -> None:
        while not self._over.wait(0.02):
            for name, pid in register(self._world.folder).items():
                if name in self._down:
                    _kill(pid)


def _kill(pid: int) -> None:
    try:
        kill(pid)
    except ProcessLookupError:
        return


def post(world: World) -> None:
    """Post imports until there is work in every stage, waiting, in flight and done."""
    samples = list(world.samples().items())
    for number in range(IMPORTS):
        name, attachment_id = samples[number % len(samples)]
        world.submit(attachment_id, name)


def check(world: World) -> None:
    """Let everything come to rest, within the time that is promised and as much again for a busy machine."""
    world.rest(seconds=60)
    world.idle()
    assert len(world.accepted) == IMPORTS
    assert world.audit().faults() == {}
    assert world.db.imports.distinct("status") == ["succeeded"]


def mark_of(world: World) -> str:
    """Return the mark that every process of a sandbox carries in its environment."""
    entries = Path(f"/proc/{world.pid('web')}/environ").read_bytes().decode().split("\0")
    return next(entry.split("=", 1)[1] for entry in entries if entry.startswith(f"{processes.MARK}="))


def test_all_at_once(tmp_path: Path) -> None:
    """Everything dies in mid-work, comes up by itself and ends its work; the end leaves no process behind."""
    with World(tmp_path / "world") as world:
        mark = mark_of(world)
        post(world)
        with Darkness(world, ()):
            pass
        check(world)
    assert processes.bearing(mark) == []


@pytest.mark.slow
@pytest.mark.parametrize("order", ["stores last", "stores first", "any (1)", "any (2)", "any (3)"])
def test_in_an_order(tmp_path: Path, order: str) -> None:
    """Whoever is up before what it needs waits for it and does not end; then all work is done."""
    names = list(EVERYTHING)
    if order == "stores first":
        names.reverse()
    elif order != "stores last":
        random.Random(order).shuffle(names)
    with World(tmp_path / "world") as world:
        post(world)
        with Darkness(world, names) as darkness:
            up = {name: darkness.let_go(name) for name in names}
        check(world)
        assert {name: world.pid(name) for name in PROCESSES} == {name: up[name] for name in PROCESSES}

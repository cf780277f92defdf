"""Every kind of fault a run may meet: a table of names, each with what it does until it has healed.

A kind strikes, says whom it hit (`scene.hit`), waits as long as it is meant to last, heals, and returns when
what it took away is there again. It heals in any case, also when the run is broken off.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pymongo.errors

from common.queue.broker import producer
from common.queue.jobs import JOBS, QUEUES, message
from tests.chaos.product import ROLES, STORES, ChaosWorld
from tests.chaos.proxies import Mode

LEASE_SECONDS = 15.0  # the default of LEASE_SECONDS
CATCH_SECONDS = 4.0
DOING = {"fetch": "fetching", "render": "rendering"}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault falls: the world, its own chance, and the run's wish to end."""

    world: ChaosWorld
    chance: random.Random
    over: threading.Event
    hit: Callable[[str], None]

    def last(self, low: float, high: float) -> None:
        """Let the fault last for a while, less where the run is broken off."""
        self.over.wait(self.chance.uniform(low, high))


Strike = Callable[[Scene], None]


class MissedError(Exception):
    """Nobody played the role that was to be hit."""


# -- processes ---------------------------------------------------------------------------------------------


def _kill(role: str) -> Strike:
    def strike(scene: Scene) -> None:
        queue, _, part = role.partition(" ")
        if part == "worker":
            pid, import_id = _caught(scene, queue)
            told = f"{pid} in the middle of {import_id}" if import_id else str(pid)
        else:
            pid = scene.chance.choice(_players(scene, role))
            told = str(pid)
        _signal(pid, signal.SIGKILL)
        scene.hit(told)
        scene.world.until_up([role], gone=[pid])

    return strike


def _pause(role: str, low: float, high: float) -> Strike:
    """Stop a process for longer than its lease, in the middle of a job if possible, and let it go on."""

    def strike(scene: Scene) -> None:
        queue, _, part = role.partition(" ")
        if part == "worker":
            pid, import_id = _caught(scene, queue)
        else:
            pid, import_id = scene.chance.choice(_players(scene, role)), None
            _signal(pid, signal.SIGSTOP)
        try:
            scene.hit(f"{pid} in the middle of {import_id}" if import_id else str(pid))
            scene.last(low, high)
        finally:
            _signal(pid, signal.SIGCONT)

    return strike


def _blackout(scene: Scene) -> None:
    """Kill everything at once: the door, the workers, the sweeper, their stores, the simulated Salesforce."""
    gone = scene.world.everybody()
    for pid in gone:
        _signal(pid, signal.SIGKILL)
    scene.hit(f"{len(gone)} processes")
    names = [role for role in ROLES if role not in ("fork server", "decoding child")]
    scene.world.until_up(names, gone)


def _caught(scene: Scene, queue: str) -> tuple[int, str | None]:
    """Stop a worker of a queue, in the middle of a job where one can be caught at it.

    The claim is read again once the worker stands still: only then is it certain that it holds it.
    """
    deadline = time.monotonic() + CATCH_SECONDS
    while time.monotonic() < deadline and not scene.over.is_set():
        with contextlib.suppress(pymongo.errors.PyMongoError):
            held = scene.world.db.imports.find_one({"status": DOING[queue]}, {"owner": 1, "fence": 1})
            pid = int((held or {}).get("owner", "").rpartition(":")[2] or 0)
            if held is not None and pid in scene.world.workers(queue):
                _signal(pid, signal.SIGSTOP)
                time.sleep(0.03)  # what it had sent before arrives
                same = {**held, "status": DOING[queue]}
                if scene.world.db.imports.find_one(same, {"_id": 1}) is not None:
                    return pid, held["_id"]
                _signal(pid, signal.SIGCONT)
        time.sleep(0.02)
    pid = scene.chance.choice(_players(scene, f"{queue} worker"))
    _signal(pid, signal.SIGSTOP)
    return pid, None


def _players(scene: Scene, role: str) -> list[int]:
    found = scene.world.wait_for(role, seconds=15)
    if not found:
        raise MissedError(role)
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


# -- the network ------------------------------------------------------------------------------------------


def _network(store: str, mode: Mode, low: float, high: float) -> Strike:
    def strike(scene: Scene) -> None:
        proxy = scene.world.proxies[store]
        try:
            proxy.become(mode)
            scene.hit("")
            scene.last(low, high)
        finally:
            proxy.become("open")

    return strike


# -- Salesforce --------------------------------------------------------------------------------------------


def _salesforce(low: float, high: float, **order: Any) -> Strike:
    """Put a fault of the simulated Salesforce in force for a while."""

    def strike(scene: Scene) -> None:
        with _ordered(scene, order):
            scene.hit("")
            scene.last(low, high)

    return strike


@contextlib.contextmanager
def _ordered(scene: Scene, order: dict[str, Any]) -> Iterator[None]:
    # It may be down for another fault just now; what was ordered of a killed one is forgotten with it.
    made: Any = scene.world.until(lambda: scene.world.control("POST", "faults", {"times": None, **order}))
    try:
        yield
    finally:
        scene.world.until(lambda: scene.world.control("DELETE", f"faults/{made['fault']}") is not None)


def _expire_sessions(scene: Scene) -> None:
    scene.world.until(lambda: scene.world.control("DELETE", "sessions") is not None)
    scene.hit("")


# -- messages -----------------------------------------------------------------------------------------------


def _flush(scene: Scene) -> None:
    scene.world.until(lambda: scene.world.redis.flushall())
    scene.hit("")


def _undecodable(scene: Scene) -> None:
    """Put what no dramatiq can read into both queues, in front of everything else."""
    for queue in QUEUES:
        name = f"unreadable-{scene.chance.getrandbits(64):x}"

        def push(queue: str = queue, name: str = name) -> bool:
            pipe = scene.world.redis.pipeline()
            pipe.hset(f"dramatiq:{queue}.msgs", name, b"\x93{no message")
            pipe.lpush(f"dramatiq:{queue}", name)
            return bool(pipe.execute())

        scene.world.until(push)
    scene.hit("one in each queue")


def _doubled(scene: Scene) -> None:
    """Ask twice, on both queues, for imports of any age, and for some that do not exist."""
    known = list(scene.world.accepted)
    chosen = [scene.chance.choice(known) for _ in range(5)] if known else []
    chosen += [f"00000000-0000-4000-8000-{scene.chance.getrandbits(48):012x}"]
    broker = producer(scene.world.redis)
    for import_id in chosen * 2:
        for job in JOBS:
            scene.world.until(functools.partial(broker.enqueue, message(job(import_id))))
    scene.hit(f"{len(chosen) * 4} messages")


KINDS: dict[str, Strike] = {
    **{f"kill {role}": _kill(role) for role in ROLES},
    "pause fetch worker": _pause("fetch worker", LEASE_SECONDS + 2, LEASE_SECONDS + 5),
    "pause render worker": _pause("render worker", LEASE_SECONDS + 2, LEASE_SECONDS + 5),
    "pause web": _pause("web", 2, 3),
    "pause sweeper": _pause("sweeper", 5, 8),
    "blackout": _blackout,
    "redis emptied": _flush,
    **{f"{store} cut": _network(store, "cut", 3, 6) for store in STORES},
    **{f"{store} stalled": _network(store, "stalled", 3, 6) for store in STORES},
    **{f"{store} mute": _network(store, "mute", 2, 4) for store in STORES},
    "salesforce 503": _salesforce(3, 6, kind="status", status=503, path="/services/data"),
    "salesforce resets": _salesforce(3, 5, kind="reset", after_bytes=100, path="/Body$", times=5),
    "salesforce truncates": _salesforce(3, 5, kind="truncate", path="/Body$", times=5),
    "salesforce drips": _salesforce(3, 5, kind="drip", bytes_per_second=2000, path="/Body$"),
    "salesforce busy": _salesforce(3, 6, kind="limit_exceeded", concurrent=True),
    "sessions expired": _expire_sessions,
    "undecodable message": _undecodable,
    "doubled messages": _doubled,
}

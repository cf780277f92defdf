"""SIGTERM while a store is away: whoever is asked is gone in time all the same, and what it had in hand goes on.

A deployment must not hang because of the very outage that it may be meant to end. So no process waits for a
store beyond its time: a claim is given back in the document where MongoDB answers, and runs out where not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.faults.ground import SLACK, Ground
from tests.faults.midjob import decoding_children, dripping, events, in_render
from tests.journey.sandboxes import children_of, is_alive
from tests.world import World

GRACE_SECONDS = 1.0  # SHUTDOWN_SECONDS here
# What the promised ten seconds hold beyond the default of SHUTDOWN_SECONDS: a worker's second to notice, and its end.
BEYOND_SECONDS = 5.0
ASKED = ("web", "fetch", "render", "sweeper")
Trouble = Callable[[Ground], AbstractContextManager[None]]

TROUBLES: dict[str, Trouble] = {
    "Redis is silent": lambda ground: ground.redis.weather(stall=True),
    "Redis refuses": lambda ground: ground.redis.weather(refuse=True),
    "Redis is frozen": lambda ground: ground.frozen("redis"),
    "Salesforce is silent": lambda ground: ground.salesforce.weather(stall=True),
    "MongoDB is silent": lambda ground: ground.mongodb.weather(stall=True),
    "MongoDB refuses": lambda ground: ground.mongodb.weather(refuse=True),
}
QUICK = ("Redis is silent",)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    environ = {"SHUTDOWN_SECONDS": str(GRACE_SECONDS)}
    with Ground(tmp_path_factory.mktemp("ground"), environ=environ) as ground:
        yield ground


@contextlib.contextmanager
def in_hand(world: World) -> Iterator[list[str]]:
    """Yield imports that are being worked on, one of them rendered, and that would not end within a minute."""
    with in_render(world) as rendering, dripping(world, seconds=60) as attachment_id:
        for child in decoding_children(world, rendering):
            os.kill(child, signal.SIGSTOP)
        fetching = [world.submit(attachment_id, "small.png") for _ in range(4)]
        world.until(lambda: all(world.document(one)["status"] == "fetching" for one in fetching))
        assert world.document(rendering)["status"] == "rendering"
        yield [rendering, *fetching]


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.slow]) for kind in TROUBLES]
)
def test_everybody_ends_in_time(ground: Ground, kind: str) -> None:
    """All four are asked at once, with work in hand, and gone in time; later starts finish everything."""
    world, since = ground.world, ground.place()
    with in_hand(world) as imports, TROUBLES[kind](ground):
        gone = {name: world.pid(name) for name in ASKED}
        took = terminated(gone)
        assert max(took.values()) < (GRACE_SECONDS + BEYOND_SECONDS) * SLACK, took
        if not kind.startswith("MongoDB"):
            assert {events(world, one)[-1] for one in imports} == {"given back"}
    for name, pid in gone.items():
        world.back(name, pid)
    ground.heals(since)
    for one in imports:
        document = world.document(one)
        assert (document["status"], document["attempts"]) == ("succeeded", 0)
        # A claim that MongoDB could not be told of ran out, as after a kill.
        assert document["deliveries"] <= (1 if kind.startswith("MongoDB") else 0)


def terminated(asked: dict[str, int]) -> dict[str, float]:
    """Ask processes to end; return how long it took until each was gone with all that it had started."""
    families = {}
    for name, pid in asked.items():
        below = children_of([pid])
        families[name] = {pid, *below, *children_of(below), *children_of(children_of(below))}
    begun, took = time.monotonic(), dict.fromkeys(asked, 0.0)
    for pid in asked.values():
        os.kill(pid, signal.SIGTERM)
    while time.monotonic() - begun < 60 and any(any(map(is_alive, family)) for family in families.values()):
        for name, family in families.items():
            if any(map(is_alive, family)):
                took[name] = time.monotonic() - begun
        time.sleep(0.05)
    return took

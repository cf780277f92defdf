"""Kill every kind of process and both stores in turn while imports are posted: nothing is lost or doubled."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.midjob import kill
from tests.journey.sandboxes import children_of, register
from tests.world import World

CLIENTS = 3
PAUSE_SECONDS = 0.15  # of a client between two imports, so that the posting lasts as long as the killing


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "world") as world:
        yield world


def workers(process: str) -> Callable[[World], list[int]]:
    return lambda world: world.workers(process)[:1]


def named(process: str) -> Callable[[World], list[int]]:
    return lambda world: [pid for name, pid in register(world.folder).items() if name == process]


def fork_servers(world: World) -> list[int]:
    found = children_of(world.workers("render"))
    return [pid for pid in found if b"decoding.server" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def decoding_children(world: World) -> list[int]:
    return list(children_of(fork_servers(world)))


VICTIMS: dict[str, Callable[[World], list[int]]] = {
    "fetch worker": workers("fetch"),
    "web": named("web"),
    "decoding child": decoding_children,
    "redis": named("redis"),
    "render worker": workers("render"),
    "mongodb": named("mongodb"),
    "sweeper": named("sweeper"),
    "fetch master": named("fetch"),
    "fork server": lambda world: fork_servers(world)[:1],
    "salesforce": named("salesforce"),
    "render master": named("render"),
}


def post_while_everything_is_killed(world: World, amount: int) -> list[str]:
    """Post so many imports, spread over the deaths of every victim in turn; return who has died."""
    samples = list(itertools.islice(itertools.cycle(world.samples().items()), amount))
    died: list[str] = []

    def post(sample: tuple[str, str]) -> None:
        name, attachment_id = sample
        world.submit(attachment_id, name)
        time.sleep(PAUSE_SECONDS)

    with ThreadPoolExecutor(CLIENTS) as clients:
        posting = [clients.submit(post, sample) for sample in samples]
        for number, (name, find) in enumerate(VICTIMS.items()):
            due = amount * number // len(VICTIMS)
            world.until(lambda due=due: len(world.accepted) >= due)
            for pid in world.until(lambda find=find: _found(find, world)):
                kill(pid)
            died.append(name)
        for one in posting:
            one.result()
    return died


def _found(find: Callable[[World], list[int]], world: World) -> list[int]:
    """Return the victims that live now; while something is being started anew there may be none yet."""
    try:
        return find(world)
    except (OSError, KeyError):
        return []


def test_two_hundred_imports(world: World) -> None:
    """Two hundred imports posted among eleven deaths all succeed, with one image each and nothing left over."""
    assert post_while_everything_is_killed(world, 200) == list(VICTIMS)
    world.rest()
    world.idle()
    assert world.audit().faults() == {}
    assert len(world.accepted) == 200
    # Also those whose client never heard of them, because the door died between writing and answering.
    assert set(world.db.imports.distinct("status")) == {"succeeded"}
    assert world.db.images.count_documents({}) == world.db.imports.count_documents({})

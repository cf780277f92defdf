"""Name whatever can be hit: processes of the Procfile, their workers, what decodes for these, and the stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.journey.sandboxes import children_of, register
from tests.world import World

Victim = Callable[[World], list[int]]


def worker(process: str) -> Victim:
    """Return how to find one worker of a dramatiq master."""
    return lambda world: world.workers(process)[:1]


def named(process: str) -> Victim:
    """Return how to find a process by its name; it may be down."""
    return lambda world: [pid for name, pid in register(world.folder).items() if name == process]


def fork_servers(world: World) -> list[int]:
    """Return the processes of which the decoding children are made."""
    found = children_of(world.workers("render"))
    return [pid for pid in found if b"decoding.server" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def decoding_children(world: World) -> list[int]:
    """Return the processes that decode."""
    return list(children_of(fork_servers(world)))


VICTIMS: dict[str, Victim] = {
    "fetch worker": worker("fetch"),
    "web": named("web"),
    "decoding child": decoding_children,
    "redis": named("redis"),
    "render worker": worker("render"),
    "mongodb": named("mongodb"),
    "sweeper": named("sweeper"),
    "fetch master": named("fetch"),
    "fork server": lambda world: fork_servers(world)[:1],
    "salesforce": named("salesforce"),
    "render master": named("render"),
}


def found(victim: Victim, world: World) -> list[int]:
    """Return a victim's processes that live now; while something is being started anew there may be none yet."""
    try:
        return victim(world)
    except (OSError, KeyError):
        return []


def descendants(pid: int) -> set[int]:
    """Return every process that some process has started, and those that these have started."""
    found: set[int] = set()
    below = children_of([pid])
    while below - found:
        found |= below
        below = children_of(below)
    return found


def of(name: str, world: World) -> list[int]:
    """Wait until a victim lives, and return its processes."""
    return list(world.until(lambda: found(VICTIMS[name], world)))

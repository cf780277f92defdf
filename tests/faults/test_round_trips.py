"""What an import costs the stores in round trips, from its acceptance to its end, as the drivers send them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.ground import Ground
from tests.faults.midjob import small_picture
from tests.proxy import Proxy

IMPORTS = 60
PROMISED = 7  # round trips of an import to each of the stores
REST_SECONDS = 6.0
OF_A_SECOND = "find organizations"
# What drivers ask for by themselves.
OF_DRIVERS = (
    "hello",
    "isMaster",
    "ismaster",
    "ping",
    "endSessions",
    "HELLO",
    "CLIENT",
    "PING",
    "AUTH",
    "SELECT",
)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    # As with MongoDB. The embedded server's driver has nothing to retry by, and is otherwise asked the same.
    with Ground(tmp_path, retry_writes=True) as ground:
        yield ground


def mongodb_command(request: bytes) -> str:
    """Return the name of a command and its collection, or for what it is asked: the first field of the document behind
    the header, the flags and the kind."""
    if len(request) <= 31:
        return "?"
    name, _, rest = request[26:].partition(b"\0")
    return f"{name.decode(errors='replace')} {rest[4:].split(bytes(1), 1)[0].decode(errors='replace')}"


def redis_command(request: bytes) -> str:
    """Return the name of a command, or of the first one of a pipeline."""
    words = request.split(b"\r\n")
    return words[2].decode(errors="replace").upper() if len(words) > 2 else "?"


@contextlib.contextmanager
def counting(proxy: Proxy, name_of: Callable[[bytes], str]) -> Iterator[Counter[str]]:
    """Count the requests of a block by the names of their commands."""
    counted: Counter[str] = Counter()
    with proxy.noting() as noted:
        yield counted
    counted.update(name for name in map(name_of, noted) if name.split()[0] not in OF_DRIVERS)


def test_an_import_costs_few_round_trips(ground: Ground) -> None:
    """An import without retries takes at most seven round trips to MongoDB and seven to Redis, dramatiq's own enqueue,
    fetch and acknowledgement included. What the stack asks while nothing is done is not its own, nor is the look at an
    organization that a worker takes once a second, however many imports it has to do."""
    world = ground.world
    attachments = [world.attach(f"{n}.png", small_picture(n)) for n in range(IMPORTS)]
    warm = [
        world.submit(world.attach(f"warm-{n}.png", small_picture(1_000 + n)), f"warm-{n}") for n in range(4)
    ]
    world.rest(warm)
    world.idle()
    with (
        counting(ground.mongodb, mongodb_command) as documents,
        counting(ground.redis, redis_command) as queue,
    ):
        began = time.monotonic()
        time.sleep(REST_SECONDS)
        rested = time.monotonic() - began
    at_rest = {"mongodb": documents.total() / rested, "redis": queue.total() / rested}
    with (
        counting(ground.mongodb, mongodb_command) as documents,
        counting(ground.redis, redis_command) as queue,
    ):
        began = time.monotonic()
        with ThreadPoolExecutor(8) as threads:
            ids = list(threads.map(lambda one: world.submit(one[1], f"{one[0]}"), enumerate(attachments)))
        world.rest(ids)
        took = time.monotonic() - began
    assert {world.document(one)["fence"] for one in ids} == {2}
    of_each = {
        "mongodb": (documents.total() - documents[OF_A_SECOND] - at_rest["mongodb"] * took) / IMPORTS,
        "redis": (queue.total() - at_rest["redis"] * took) / IMPORTS,
    }
    told = f"{of_each} an import, {at_rest} a second at rest, {took:.1f} s\n{documents}\n{queue}\n"
    sys.stderr.write(told)
    assert of_each["mongodb"] <= PROMISED, told
    assert of_each["redis"] <= PROMISED, told

"""A fetch worker's memory does not grow with what it fetches: the real process, by the kernel's own account.

The large files are sparse ones in the simulated organization's folder, which sends them in pieces; the worker
receives, hashes, spools and stores every byte of them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journey.albums import keep, picture
from tests.world import World

MOST_GROWN = 10_000_000
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIECE = bytes(1 << 20)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads a process's peak from /proc")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = {"MAX_ORIGINAL_BYTES": str(3 * 2**30)}
    with World(tmp_path_factory.mktemp("world"), environ=settings) as world:
        # What a process needs once, whatever it fetches, is no part of the promise.
        for number in range(30):
            world.submit(world.attach(f"warm-{number}.jpg", picture(number)))
        file = keep(world, "ContentVersion", picture(30), PathOnClient="warm.jpg")
        world.submit(file)
        world.rest()
        yield world


def memory(pid: int, line: str) -> int:
    """Return a line of a process's account, in bytes."""
    for told in Path(f"/proc/{pid}/status").read_text().splitlines():
        if told.startswith(f"{line}:"):
            return int(told.split()[1]) * 1024
    raise AssertionError(f"{line} is not told")


def large(world: World, kind: str, size: int) -> str:
    """Keep a record whose blob is so large and begins like a picture; a file has its checksum. Returns its id."""
    digest = hashlib.md5(SIGNATURE, usedforsecurity=False)
    left = size - len(SIGNATURE)
    while kind == "ContentVersion" and left:
        piece = PIECE[: min(left, len(PIECE))]
        digest.update(piece)
        left -= len(piece)
    if kind == "Attachment":
        record_id = world.attach(f"large-{size}.png", SIGNATURE)
    else:
        record_id = keep(world, kind, SIGNATURE, PathOnClient="large.png", Checksum=digest.hexdigest())
    (blob,) = world.folder.rglob(f"{record_id}.blob")
    with blob.open("r+b") as file:
        file.truncate(size)
    return record_id


def grown(world: World, record_id: str, size: int, *, seconds: float) -> int:
    """Fetch a record; return by how many bytes the worker's peak went above what it held before."""
    (worker,) = world.workers("fetch")
    Path(f"/proc/{worker}/clear_refs").write_text("5")  # the peak begins anew at what is held now
    before = memory(worker, "VmHWM")
    asked = world.submit(record_id, "large.png")
    world.until(lambda: world.document(asked)["original"], seconds=seconds)
    assert world.document(asked)["original"]["bytes"] == size
    return memory(worker, "VmHWM") - before


@pytest.mark.parametrize("kind", ["Attachment", "ContentVersion"])
def test_twenty_five_megabytes_cost_less_than_ten(world: World, kind: str) -> None:
    """The largest attachment that Salesforce keeps: received, hashed and stored in pieces."""
    size = 25 * 2**20
    assert grown(world, large(world, kind, size), size, seconds=60) < MOST_GROWN


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_gigabytes_stream_within_the_same_bound(world: World) -> None:
    """The largest file of most organizations, where MAX_ORIGINAL_BYTES allows it."""
    size = 2 * 2**30
    assert grown(world, large(world, "ContentVersion", size), size, seconds=300) < MOST_GROWN

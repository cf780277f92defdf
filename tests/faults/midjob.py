"""Catch an import in the middle of a job, so that a fault certainly falls into the work and not beside it.

A fetch is made long by a Salesforce that drips, a render by a picture of almost a hundred million pixels.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests.journey.sandboxes import children_of
from tests.world import World

DRIP_SECONDS = 4.0  # how long a fetch in the block takes where nothing interrupts it
AGAIN_SECONDS = 20.0  # within which a job whose worker was killed is promised to run again
SIDE = 9_900  # pixels: just below what MAX_PIXELS refuses


@cache
def small_picture(shade: int = 90) -> bytes:
    """Return a picture of some kilobytes; another shade gives another one."""
    kept = BytesIO()
    gradient = Image.linear_gradient("L").resize((320, 240))
    flat = Image.new("L", gradient.size, shade % 256)
    Image.merge("RGB", (gradient, flat, gradient.rotate(180))).save(kept, "PNG")
    return kept.getvalue()


@cache
def large_picture() -> bytes:
    """Return a picture that takes about a second to render, and little to fetch."""
    kept = BytesIO()
    gradient = Image.linear_gradient("L").resize((SIDE, SIDE))
    Image.merge("RGBA", (gradient,) * 4).save(kept, "PNG", compress_level=1)
    return kept.getvalue()


@contextlib.contextmanager
def dripping(world: World, *, seconds: float = DRIP_SECONDS) -> Iterator[str]:
    """Let every attachment's body come slowly; yield the id of a small one, which takes so many seconds."""
    attachment_id = world.attach("small.png", small_picture())
    rate = max(1, int(len(small_picture()) / seconds))
    order = {"kind": "drip", "path": "/Body$", "bytes_per_second": rate, "times": None}
    fault = world.control("POST", "faults", order)["fault"]
    try:
        yield attachment_id
    finally:
        with contextlib.suppress(OSError):  # it was killed, and has forgotten all faults by that
            world.control("DELETE", f"faults/{fault}")


@contextlib.contextmanager
def in_fetch(world: World, *, seconds: float = DRIP_SECONDS) -> Iterator[str]:
    """Yield an import whose attachment is on its way; Salesforce is as quick as ever after the block."""
    with dripping(world, seconds=seconds) as attachment_id:
        import_id = world.submit(attachment_id, "small.png")

        def on_its_way() -> bool:
            met = sum(fault["met"] for fault in world.control("GET", "faults"))
            return met > 0 and world.document(import_id)["status"] == "fetching"

        world.until(on_its_way)
        yield import_id


@contextlib.contextmanager
def in_render(world: World) -> Iterator[str]:
    """Yield an import while a child decodes its picture."""
    import_id = world.submit(world.attach("large.png", large_picture()), "large.png")
    world.until(lambda: world.document(import_id)["status"] == "rendering")
    world.until(lambda: decoding_children(world, import_id))
    yield import_id


def worker_of(world: World, import_id: str) -> int:
    """Return the worker process that holds an import."""
    return int(world.document(import_id)["owner"].rpartition(":")[2])


def fork_server(world: World, import_id: str) -> int:
    """Return the fork server of the worker that holds an import."""
    found = [
        pid
        for pid in children_of([worker_of(world, import_id)])
        if b"workers.decoding.server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(found) == 1
    return found[0]


def decoding_children(world: World, import_id: str) -> set[int]:
    """Return the decoding children of the worker that holds an import."""
    return children_of([fork_server(world, import_id)])


def kill(pid: int) -> None:
    """End a process with no chance to say goodbye."""
    os.kill(pid, signal.SIGKILL)


def kill_worker(world: World, import_id: str) -> datetime:
    """Kill the worker of an import and return when."""
    pid = worker_of(world, import_id)
    kill(pid)
    return datetime.now(UTC)  # also the store's time, since both run on this machine


def until_it_runs_again(world: World, import_id: str, killed_at: datetime) -> float:
    """Wait for the next claim of an import and return the seconds from the kill to it."""

    def again() -> list[datetime]:
        history = world.document(import_id)["history"]
        claims = [entry["at"] for entry in history if entry["event"] in ("fetching", "rendering")]
        return [at for at in claims if at > killed_at]

    return float((world.until(again, seconds=90)[0] - killed_at).total_seconds())


def events(world: World, import_id: str) -> list[str]:
    """Return what has happened to an import, in order."""
    return [entry["event"] for entry in world.document(import_id)["history"]]

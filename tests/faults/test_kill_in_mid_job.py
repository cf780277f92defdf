"""Kill -9 whatever takes part in an import, in the middle of it: it ends as one image, and nothing is stuck.

The product runs with its default settings and in one world: whatever is killed must be back for the next.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.midjob import (
    AGAIN_SECONDS,
    decoding_children,
    events,
    fork_server,
    in_fetch,
    in_render,
    kill,
    kill_worker,
    until_it_runs_again,
    worker_of,
)
from tests.journey.sandboxes import eventually, is_alive
from tests.world import World

SLACK = 3  # times what is promised: a shared machine stalls
ORPHAN_SECONDS = 5.0  # so long may the workers of a killed master live


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


def ends_well(world: World, import_id: str, *, attempts: int = 0) -> None:
    """Wait for the end of an import and of everything else; no budget is used up, and the nine are zero."""
    world.rest([import_id])
    world.idle()
    assert world.audit().faults() == {}
    document = world.document(import_id)
    assert document["status"] == "succeeded"
    assert document["attempts"] == attempts
    assert document["deliveries"] == events(world, import_id).count("lease expired")


def test_the_fetch_worker(world: World) -> None:
    """A worker killed in mid-download leaves no file, and another one downloads anew within lease and sweep."""
    with in_fetch(world) as import_id:
        killed_at = kill_worker(world, import_id)
    assert until_it_runs_again(world, import_id, killed_at) <= SLACK * AGAIN_SECONDS
    ends_well(world, import_id)
    assert events(world, import_id).count("lease expired") == 1


def test_the_fetch_master(world: World) -> None:
    """A killed dramatiq master takes its workers with it within five seconds, their work given back."""
    with in_fetch(world, seconds=20) as import_id:
        workers, master = world.workers("fetch"), world.kill("fetch")
        eventually(lambda: not any(map(is_alive, workers)), ORPHAN_SECONDS)
    world.back("fetch", master)
    ends_well(world, import_id)
    assert events(world, import_id).count("fetching") == 2
    assert "lease expired" not in events(world, import_id)


def test_the_render_worker(world: World) -> None:
    """A worker killed while it renders costs one lease, a look of the sweeper and no second call of Salesforce."""
    with in_render(world) as import_id:
        killed_at = kill_worker(world, import_id)
        assert world.document(import_id)["status"] == "rendering"
    assert until_it_runs_again(world, import_id, killed_at) <= SLACK * AGAIN_SECONDS
    ends_well(world, import_id)
    assert events(world, import_id).count("lease expired") == 1
    assert events(world, import_id).count("fetching") == 1


def test_the_render_master(world: World) -> None:
    """As for the fetch: the workers of a killed master end, and others carry on."""
    with in_render(world) as import_id:
        workers, master = world.workers("render"), world.kill("render")
        eventually(lambda: not any(map(is_alive, workers)), ORPHAN_SECONDS)
    world.back("render", master)
    ends_well(world, import_id)
    assert "lease expired" not in events(world, import_id)


def test_the_decoding_child(world: World) -> None:
    """A child that is killed while it decodes is replaced at once; the worker and its claim live on."""
    with in_render(world) as import_id:
        worker = worker_of(world, import_id)
        for child in decoding_children(world, import_id):
            kill(child)
        assert world.document(import_id)["status"] == "rendering"
    ends_well(world, import_id)
    assert events(world, import_id).count("rendering") == 1
    assert is_alive(worker)


def test_the_fork_server(world: World) -> None:
    """A fork server killed with its children in work is replaced; the worker and its claim live on."""
    with in_render(world) as import_id:
        worker, server = worker_of(world, import_id), fork_server(world, import_id)
        kill(server)
        assert world.document(import_id)["status"] == "rendering"
    ends_well(world, import_id)
    assert events(world, import_id).count("rendering") == 1
    assert is_alive(worker)


@pytest.mark.parametrize("process", ["web", "sweeper", "redis", "mongodb"])
def test_whatever_the_fetch_needs(world: World, process: str) -> None:
    """The door, the sweeper or either store killed in mid-download: it ends as one image, fetched once."""
    with in_fetch(world) as import_id:
        gone = world.kill(process)
        world.back(process, gone)
    ends_well(world, import_id)
    assert events(world, import_id).count("fetching") == 1


def test_salesforce(world: World) -> None:
    """An answer that breaks off counts one attempt, and the next one brings the picture."""
    with in_fetch(world) as import_id:
        world.back("salesforce", world.kill("salesforce"))
    ends_well(world, import_id, attempts=1)


@pytest.mark.parametrize("process", ["sweeper", "redis", "mongodb"])
def test_whatever_the_render_needs(world: World, process: str) -> None:
    """The sweeper or either store killed while a picture is decoded: it ends as one image, rendered once."""
    with in_render(world) as import_id:
        gone = world.kill(process)
    world.back(process, gone)
    ends_well(world, import_id)
    assert events(world, import_id).count("rendering") == 1

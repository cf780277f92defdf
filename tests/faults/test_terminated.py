"""SIGTERM under load: nothing accepted is dropped, work is given back, and whoever was asked is gone in time."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import pytest

from tests.faults.midjob import decoding_children, dripping, events, in_render
from tests.journey.sandboxes import children_of, eventually, is_alive
from tests.world import World

EXIT_SECONDS = 10.0
CLIENTS = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


class Clients:
    """Clients that post without a pause, each time over a new connection, until they are told to stop."""

    def __init__(self, world: World, attachment_id: str) -> None:
        self.world, self.stop = world, threading.Event()
        self.outcomes: Counter[str] = Counter()
        self._body = urlencode({"attachment_id": attachment_id, "import_type": "salesforce"})
        self._threads = [threading.Thread(target=self._post) for _ in range(CLIENTS)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def _post(self) -> None:
        headers = {
            "Authorization": f'Token token="{self.world.ready["token"]}"',
            "Content-Type": "application/x-www-form-urlencoded",
        }
        while not self.stop.is_set():
            connection = http.client.HTTPConnection(urlsplit(self.world.url).netloc, timeout=15)
            try:
                connection.connect()
            except ConnectionRefusedError:
                self.outcomes["refused"] += 1  # nobody was told that anybody listens: no request was dropped
                self.stop.wait(0.02)
                continue
            try:
                connection.request("POST", "/api/v1/imports", self._body, headers)
                outcome = str(connection.getresponse().status)
            except OSError as error:
                outcome = type(error).__name__
            except http.client.HTTPException as error:
                outcome = type(error).__name__
            finally:
                connection.close()
            self.outcomes[outcome] += 1


def test_the_door(world: World) -> None:
    """Every request whose connection was taken is answered 200; then the door is gone, and another one opens."""
    attachment_id = next(iter(world.samples().values()))
    with Clients(world, attachment_id) as clients:
        world.until(lambda: clients.outcomes["200"] > 50)
        gone = world.kill("web", signal.SIGTERM)
        eventually(lambda: not is_alive(gone), EXIT_SECONDS)
        world.back("web", gone)
        before = clients.outcomes["200"]
        world.until(lambda: clients.outcomes["200"] > before + 50)
    assert set(clients.outcomes) - {"200", "refused"} == set(), clients.outcomes
    kept = [one["_id"] for one in world.db.imports.find({}, {"_id": 1})]
    assert len(kept) == clients.outcomes["200"]
    world.rest(kept)
    world.idle()
    assert world.audit().faults() == {}
    assert world.db.imports.distinct("status") == ["succeeded"]


def test_the_fetch(world: World) -> None:
    """Downloads that cannot end in time are given back, count nothing, and are done by the next worker."""
    with dripping(world, seconds=60) as attachment_id:
        imports = [world.submit(attachment_id, "small.png") for _ in range(4)]
        world.until(lambda: all(world.document(one)["status"] == "fetching" for one in imports))
        terminate(world, "fetch")
    ended(world, imports)
    for one in imports:
        assert events(world, one).count("given back") == 1


def test_the_render(world: World) -> None:
    """A picture that cannot be decoded in time is given back, counts nothing, and is done by the next worker."""
    with in_render(world) as import_id:
        frozen = decoding_children(world, import_id)
        for child in frozen:
            os.kill(child, signal.SIGSTOP)
        assert world.document(import_id)["status"] == "rendering"
        terminate(world, "render")
        assert not any(map(is_alive, frozen))
    ended(world, [import_id])
    assert events(world, import_id).count("given back") == 1


def test_the_sweeper(world: World) -> None:
    """The sweeper ends between two looks; imports go on without it, and with the next one."""
    terminate(world, "sweeper")
    ended(world, [world.submit(attachment_id, name) for name, attachment_id in world.samples().items()])


def terminate(world: World, process: str) -> None:
    """Ask a process to end, and see it and everything it has started gone in time and another one come."""
    pid = world.pid(process)
    family = {pid, *(below := children_of([pid])), *children_of(below)}
    world.kill(process, signal.SIGTERM)
    eventually(lambda: not any(map(is_alive, family)), EXIT_SECONDS)
    world.back(process, pid)


def ended(world: World, imports: list[str]) -> None:
    """See imports end well, with no budget used up, and nothing left over."""
    world.rest(imports)
    world.idle()
    assert world.audit().faults() == {}
    for one in imports:
        document = world.document(one)
        assert (document["status"], document["deliveries"], document["attempts"]) == ("succeeded", 0, 0)
        assert "lease expired" not in events(world, one)

"""The whole product on stores that a test holds in its hands: each behind a proxy, each to be killed and restarted.

The product knows the proxies' addresses only. A test looks past them, so that it sees what is kept while
the product cannot.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymongo
import redis

from common.documents.statuses import OPEN
from common.queue.jobs import QUEUES
from tests.journey.sandboxes import register
from tests.proxy import FAIR, Proxy
from tests.stores import Server, run_secantus, run_valkey
from tests.world import World
from workers.credentials import Credentials, owner

DATABASE = "imports"
SLACK = 3  # times what the product promises: a shared machine stalls
HEAL_SECONDS = 30.0 * SLACK
ANSWER_SECONDS = 2.0  # in which a POST is answered, whatever is away


class Ground:
    """A `World`, and the stores and proxies below it: `mongodb`, `redis`, `salesforce`."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        environ: Mapping[str, str] | None = None,
        retry_writes: bool = False,
    ) -> None:
        self._folder, self._stack = folder, ExitStack()
        self._running: dict[str, tuple[Server, AbstractContextManager[Server]]] = {}
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self._start("mongodb", 0)
            self._start("redis", 0)
            self.mongodb = self._proxy(self.server("mongodb").port)
            self.redis = self._proxy(self.server("redis").port)
            # Direct, or the driver would go to where the server says that it listens, past the proxy.
            options_of_url = f"retryWrites={str(retry_writes).lower()}&directConnection=true"
            named = {
                "MONGODB_URL": f"mongodb://127.0.0.1:{self.mongodb.port}/{DATABASE}?{options_of_url}",
                "REDIS_URL": f"redis://127.0.0.1:{self.redis.port}/0",
                **(environ or {}),
            }
            self.world = self._stack.enter_context(World(folder / "world", *options, environ=named))
            self.salesforce = self._proxy(urlsplit(self.world.ready["salesforce_url"]).port or 0)
            self._look_past_the_proxies()
            undo.pop_all()

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the product, then its stores."""
        self._stack.close()
        for _server, context in self._running.values():
            context.__exit__(None, None, None)
        self._running.clear()

    def server(self, store: str) -> Server:
        """Return the store that runs now."""
        return self._running[store][0]

    def _start(self, store: str, port: int) -> None:
        run: Callable[..., AbstractContextManager[Server]] = {"mongodb": run_secantus, "redis": run_valkey}[
            store
        ]
        context = run(self._folder / store, port=port or None)
        self._running[store] = (context.__enter__(), context)

    def _proxy(self, target: int) -> Proxy:
        return self._stack.enter_context(Proxy(target))

    def _look_past_the_proxies(self) -> None:
        world = self.world
        world.mongodb.close()
        world.mongodb = pymongo.MongoClient(
            f"mongodb://127.0.0.1:{self.server('mongodb').port}/{DATABASE}?retryWrites=false", tz_aware=True
        )
        world.db = world.mongodb.get_default_database()
        world.redis.close()
        world.redis = redis.Redis(port=self.server("redis").port)
        url = f"http://127.0.0.1:{self.salesforce.port}"
        keys = (world.folder / "secrets" / "credentials_keys").read_text().strip().split(",")
        credentials = Credentials(keys)
        for one in world.db.organizations.find():
            before, after = one["source"], {**one["source"], "login_url": url, "instance_url": url}
            # A secret is bound to the address that it is sent to, so it moves along.
            secret = credentials.unseal(before["secret"], owner(one["_id"], before, "client_secret"))
            after["secret"] = credentials.seal(secret, owner(one["_id"], after, "client_secret"))
            change = {"$set": {"source": after}, "$inc": {"credential_version": 1}}
            world.db.organizations.update_one({"_id": one["_id"]}, change)

    # -- what befalls a store ----------------------------------------------------------------------------

    @contextlib.contextmanager
    def killed(self, store: str, *, forget: Callable[[Path], None] | None = None) -> Iterator[None]:
        """Kill a store for the length of a block; it starts again on its files, less what `forget` removes."""
        server, context = self._running[store]
        os.kill(server.pid, signal.SIGKILL)
        context.__exit__(None, None, None)
        try:
            yield
        finally:
            if forget is not None:
                forget(server.folder)
            self._start(store, server.port)

    @contextlib.contextmanager
    def frozen(self, store: str) -> Iterator[None]:
        """Pause a store for the length of a block: it listens, and says nothing."""
        pid = self.server(store).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    # -- what a client and an operator do ------------------------------------------------------------------

    def post(self, count: int) -> tuple[list[str], float]:
        """Submit so many imports, each of which must be accepted; return their ids and the longest wait."""
        samples, ids, longest = list(self.world.samples().items()), [], 0.0
        for number in range(count):
            name, attachment_id = samples[number % len(samples)]
            begun = time.monotonic()
            answer = self.world.post(attachment_id, name)
            longest = max(longest, time.monotonic() - begun)
            assert answer.status_code == 200, (answer.status_code, answer.text)
            ids.append(answer.json()["id"])
        return ids, longest

    def refused(self) -> None:
        """Submit one import while MongoDB is away: 503 with Retry-After in time, alive, and not ready."""
        world = self.world
        begun = time.monotonic()
        answer = world.post(next(iter(world.samples().values())), "refused")
        assert answer.status_code == 503, (answer.status_code, answer.text)
        assert int(answer.headers["Retry-After"]) >= 1
        assert time.monotonic() - begun < ANSWER_SECONDS * SLACK
        assert world.http.get(f"{world.url}/livez", timeout=10).status_code == 200
        assert world.http.get(f"{world.url}/readyz", timeout=10).status_code == 503

    def heals(self, since: int) -> None:
        """Let fair weather in; what was accepted ends well, nothing is wrong at rest, nothing failed in a way
        that nobody foresaw since a place in the log."""
        for proxy in (self.mongodb, self.redis, self.salesforce):
            proxy.be(FAIR)
        world = self.world
        world.rest(seconds=HEAL_SECONDS)
        # One that was written while its answer was lost was never told to anybody; it ends like all others.
        world.until(
            lambda: not world.db.imports.count_documents({"status": {"$in": OPEN}}), seconds=HEAL_SECONDS
        )
        world.idle(seconds=HEAL_SECONDS)
        # The place of an import that ended while Redis was away is given free by the sweeper, some seconds later.
        world.until(
            lambda: not any(world.redis.exists(f"imports:dispatched:{queue}") for queue in QUEUES),
            seconds=HEAL_SECONDS,
        )
        faults = world.audit().faults()
        assert faults == {}, faults
        assert self.said(since, "Traceback") == []
        assert self.said(since, '"status": 500') == []

    def said(self, since: int, pattern: str) -> list[str]:
        """Return the log lines since a place in the log that match a pattern."""
        return [line for line in self.world.sandbox.text[since:].splitlines() if re.search(pattern, line)]

    def place(self) -> int:
        """Return the place that the log has come to."""
        return len(self.world.sandbox.text)

    def kept(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        """Return what is kept of some imports, by id."""
        return {one["_id"]: one for one in self.world.db.imports.find({"_id": {"$in": ids}})}

    def claims(self, ids: list[str]) -> int:
        """Return how often some imports were begun."""
        return sum(document["fence"] for document in self.kept(ids).values())

    def gate(self) -> dict[str, Any] | None:
        """Return what keeps the organization's imports back, None where nothing does."""
        (organization,) = self.world.db.organizations.find()
        gate: dict[str, Any] | None = organization["gate"]
        return gate

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time that each process of the product has used, with all below it."""
        return {name: _cpu(pid) for name, pid in register(self.world.folder).items() if name != "salesforce"}


def _cpu(pid: int) -> float:
    below = [pid]
    for one in below:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                below += [int(child) for child in task.read_text().split()]
    ticks = 0
    for one in below:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")

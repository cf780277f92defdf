"""The world of `tests/world.py` with a proxy before each store, and eyes for the processes behind the names.

The product's processes and its organization reach MongoDB, Redis and Salesforce through the proxies, whoever
looks on reaches them directly. There are two fetch workers in place of one, so that somebody can take over
from a stopped one; every other setting is the default.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pymongo
import requests

from sandbox import ports, processes
from sandbox.procfile import read
from tests.chaos.proxies import Proxy
from tests.journey.sandboxes import ROOT, children_of, is_alive, register
from tests.world import World

STORES = ("mongodb", "redis", "salesforce")
WORKERS = {"fetch": 2, "render": 2}
ROLES = (
    "web",
    "fetch master",
    "fetch worker",
    "render master",
    "render worker",
    "fork server",
    "decoding child",
    "sweeper",
    *STORES,
)


class ChaosWorld(World):
    """One running product in a folder of its own. Close it, or use it in a `with` block."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        taken: dict[str, int] = {}
        for store in STORES:
            taken[store] = ports.choose(set(taken.values()))
        # Where the sandbox keeps its choices between two starts: it goes by what stands there.
        (folder / "world.json").write_text(json.dumps({"ports": taken}))
        self.proxies = {store: Proxy(port) for store, port in taken.items()}
        procfile = folder / "Procfile"
        procfile.write_text("".join(_lines()))
        try:
            super().__init__(
                folder,
                *("--procfile", str(procfile)),
                environ={
                    "PYTHONPATH": str(ROOT),
                    "FETCH_PROCESSES": str(WORKERS["fetch"]),
                    "RENDER_PROCESSES": str(WORKERS["render"]),
                    "CHAOS_MONGODB_URL": f"mongodb://127.0.0.1:{self.proxies['mongodb'].port}"
                    # Without directConnection the driver goes by the address that the server tells of itself.
                    "/imports?retryWrites=false&directConnection=true",
                    "CHAOS_REDIS_URL": f"redis://127.0.0.1:{self.proxies['redis'].port}/0",
                },
            )
        except BaseException:
            self._close_proxies()
            raise
        self.mongodb.close()
        self.mongodb = pymongo.MongoClient(
            self.ready["mongodb_url"], tz_aware=True, serverSelectionTimeoutMS=1000, socketTimeoutMS=5000
        )
        self.db = self.mongodb.get_default_database()
        self._lead_through_the_proxy()

    def __enter__(self) -> ChaosWorld:
        return self

    def close(self) -> None:
        """End the product and the proxies."""
        super().close()
        self._close_proxies()

    def _close_proxies(self) -> None:
        for proxy in self.proxies.values():
            proxy.close()

    def _lead_through_the_proxy(self) -> None:
        """Tell the organization that its Salesforce is where the proxy listens."""
        secrets = self.folder / "secrets"
        environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(ROOT),
            "MONGODB_URL": self.ready["mongodb_url"],
            "TOKEN_SECRETS_FILE": str(secrets / "token_secrets"),
            "CREDENTIALS_KEYS_FILE": str(secrets / "credentials_keys"),
        }
        words = ["organization", "update", self.ready["organization_id"]]
        words += ["--salesforce-url", f"http://127.0.0.1:{self.proxies['salesforce'].port}"]
        subprocess.run(
            [sys.executable, "-m", "workers.operate", *words, "--json"],
            cwd=ROOT,
            env=environ,
            check=True,
            capture_output=True,
            timeout=60,
        )

    # -- who runs ----------------------------------------------------------------------------------------

    def who(self, role: str) -> list[int]:
        """Return the processes that play a role now; none where it is between two lives."""
        name, _, part = role.partition(" ")
        try:
            if role == "fork server":
                return sorted(self._fork_servers())
            if role == "decoding child":
                return sorted(children_of(self._fork_servers()))
            if part == "worker":
                return self.workers(name)
            pid = register(self.folder)[name]
            return [pid] if is_alive(pid) else []
        except (KeyError, OSError, ValueError):
            return []

    def _fork_servers(self) -> list[int]:
        return [
            pid for pid in children_of(self.workers("render")) if "workers.decoding.server" in command_of(pid)
        ]

    def everybody(self) -> list[int]:
        """Return every process of the product and of its stores; not the sandbox, which starts them anew."""
        top, rows = self.sandbox.process.pid, processes.table()
        found: set[int] = set()
        more = {top}
        while more := {row.pid for row in rows if row.parent in more} - found:
            found |= more
        return sorted(found | (self.bearing() - {top}))

    def bearing(self) -> set[int]:
        """Return the processes that were started for this world, wherever they hang in the tree."""
        status = self.folder.stat()
        return {row.pid for row in processes.bearing(f"{status.st_dev:x}-{status.st_ino:x}")}

    def is_up(self, role: str, gone: Iterable[int] = ()) -> bool:
        """Tell whether a role is played again, in full number, by others than those that are gone."""
        name, _, part = role.partition(" ")
        if role in ("fork server", "decoding child"):
            name, part = "render", "worker"  # a decoder begins when there is a picture
        players = set(self.who(f"{name} {part}".strip())) - set(gone)
        if len(players) < (WORKERS.get(name, 1) if part == "worker" else 1):
            return False
        if part == "master" and len(self.workers(name)) < WORKERS[name]:
            return False
        return self._answers(name)

    def _answers(self, name: str) -> bool:
        if name == "mongodb":
            return bool(self.mongodb.admin.command("ping"))
        if name == "redis":
            return bool(self.redis.ping())
        if name == "salesforce":
            return bool(self.control("GET", "stats"))
        return name != "web" or requests.get(f"{self.url}/livez", timeout=2).ok

    def until_up(self, roles: Iterable[str], gone: Iterable[int] = (), *, seconds: float = 60.0) -> None:
        """Wait until roles are played again."""
        for role in roles:
            self.until(functools.partial(self.is_up, role, gone), seconds=seconds)

    def wait_for(self, role: str, *, seconds: float) -> list[int]:
        """Return who plays a role, waiting for it; none where nobody came."""
        deadline = time.monotonic() + seconds
        while not (found := self.who(role)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found


def command_of(pid: int) -> str:
    """Return the command line of a process, or nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _lines() -> Iterable[str]:
    """Write the product's own Procfile once more, each long-running process behind the proxies."""
    for name, command in read(ROOT / "Procfile").items():
        before = (
            "" if name == "release" else "env MONGODB_URL=${CHAOS_MONGODB_URL} REDIS_URL=${CHAOS_REDIS_URL} "
        )
        yield f"{name}: {before}{command}\n"

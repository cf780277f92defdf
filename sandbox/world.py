"""Bring the world up in the order in which its parts need each other, and say when it is ready.

stores → simulated Salesforce → release step → the Procfile's processes → sample organization → sample import
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox import environment, organization, procfile, sample, stores, workers_up
from sandbox.child import Child
from sandbox.door import Door
from sandbox.endings import Refused
from sandbox.errand import Errands
from sandbox.folder import Folder, write
from sandbox.keeper import DOORS_AND_WORKERS, SWEEPER, Keeper
from sandbox.output import Output
from sandbox.ports import choose, is_free
from sandbox.seed import Seeded, seed

ANSWER_SECONDS = 60
PRESENCE_SECONDS = 20
RELEASE_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the person asked for; port 0 means any free one."""

    port: int
    data: Path
    pictures: Path | None
    sample: bool
    procfile: Path

    @property
    def checkout(self) -> Path:
        """Where the Procfile's commands are to be run."""
        return self.procfile.parent


@dataclass(slots=True)
class World:
    """One world on one folder, which this process holds."""

    options: Options
    environ: Mapping[str, str] = field(repr=False)
    folder: Folder
    keeper: Keeper
    output: Output

    def bring_up(self) -> tuple[dict[str, Any], str]:
        """Start everything; return the ready line and what people are shown. Raises Refused or Stopped."""
        commands = procfile.read(self.options.procfile)
        named = organization.named(self.environ)
        programs = environment.for_programs(self.environ, self.folder, self.options.checkout)
        port = self._web_port()
        salesforce = named or organization.simulated(self.folder, self._port("salesforce"))
        children = environment.for_children(
            programs, self.folder, mongodb_url=self._mongodb_url(), redis_url=self._redis_url(), port=port
        )
        settings = environment.settings(children)
        write(self._shell_file(), environment.for_shell(children, self.environ))
        mongodb_url, redis_url = settings.mongodb_url, settings.redis_url
        self._start_ground(programs, salesforce)
        self._await_store("MongoDB", "MONGODB_URL", mongodb_url, stores.mongodb_answers)
        self._await_store("Redis", "REDIS_URL", redis_url, stores.redis_answers)
        errands = Errands(
            environment=children,
            folder=self.options.checkout,
            output=self.output,
            stopping=lambda: self.keeper.stopping,
        )
        if "release" in commands:
            self._release(procfile.words(commands["release"], children), errands)
        masters = self._start_processes(commands, children)
        operator = procfile.words(procfile.operator_command(commands), children)
        with self.output.waiting("the sample organization, its user and a token (made by `imports`)"):
            seeded = seed(self.folder, errands, salesforce, operator=operator)
        door = Door(port, seeded.token)
        self._await("the web process", door.is_ready)
        password = settings.operator_password or ""
        door = door.logged_in(password)
        self._await_workers(redis_url, masters)
        unfinished = stores.unfinished(mongodb_url, seeded.organization_id)
        following = self._show_sample(door, salesforce, unfinished)
        line = self._ready_line(door, seeded, password, frozenset(masters))
        line |= {"mongodb_url": mongodb_url, "redis_url": redis_url, "salesforce_url": salesforce.url}
        return line, self._invitation(door, password, following)

    def _web_port(self) -> int:
        if self.options.port == 0:
            return choose(set())
        if not is_free(self.options.port):
            raise Refused(
                f"Port {self.options.port} is in use: end whatever listens there, "
                "or choose another one with --port (0 takes any free one)."
            )
        return self.options.port

    def _port(self, name: str) -> int:
        """Return the port of a part of the ground, the same at every start unless someone else has taken it."""
        ports: dict[str, int] = dict(self.folder.facts.get("ports", {}))
        if name in ports and is_free(ports[name]):
            return ports[name]
        if name in ports:
            self.output.say(f"port {ports[name]} of {name} was taken by another program; choosing a new one")
        ports[name] = choose({self.options.port, *ports.values()})
        self.folder.keep(ports=ports)
        return ports[name]

    def _mongodb_url(self) -> str:
        if environment.is_given(self.environ, "MONGODB_URL"):
            return ""
        return stores.secantus_url(self._port("mongodb"))

    def _redis_url(self) -> str:
        if environment.is_given(self.environ, "REDIS_URL"):
            return ""
        return stores.valkey_url(self._port("redis"))

    def _start_ground(self, programs: Mapping[str, str], salesforce: organization.Salesforce) -> None:
        ports = self.folder.facts.get("ports", {})
        if not environment.is_given(self.environ, "MONGODB_URL"):
            self.keeper.add(stores.secantus(self.folder, programs, ports["mongodb"]))
        if not environment.is_given(self.environ, "REDIS_URL"):
            self.keeper.add(stores.valkey(self.folder, programs, ports["redis"]))
        if salesforce.simulated:
            self.keeper.add(
                organization.process(
                    salesforce,
                    self.folder,
                    programs,
                    pictures=self.options.pictures,
                    checkout=self.options.checkout,
                )
            )

    def _await(self, what: str, answers: Callable[[], bool]) -> None:
        if not self.keeper.until(answers, what=f"{what} to answer", seconds=ANSWER_SECONDS):
            raise Refused(
                f"{what} did not answer within {ANSWER_SECONDS} s; the logs are in {self.folder.part('logs')}.",
                code=1,
            )

    def _await_store(self, what: str, setting: str, url: str, answers: Callable[[str], bool]) -> None:
        variable = environment.given_as(self.environ, setting)
        if variable is None:
            self._await(what, lambda: answers(url))
            return
        named = f"{what} at {stores.address(url)}, which {variable} names,"
        if not self.keeper.until(lambda: answers(url), what=f"{named} to answer", seconds=ANSWER_SECONDS):
            raise Refused(
                f"{named} did not answer within {ANSWER_SECONDS} s. Start it or mend {variable}; "
                f"to use the embedded one instead: unset {variable}",
                code=1,
            )

    def _release(self, words: list[str], errands: Errands) -> None:
        self.output.say("release step: " + " ".join(words))
        with self.output.waiting("the release step to prepare the stores"):
            code, _ = errands.run(words, name="release", seconds=RELEASE_SECONDS)
        if code != 0:
            raise Refused(
                f"The release step failed with exit code {code}; what it said stands above.", code=1
            )

    def _start_processes(self, commands: Mapping[str, str], children: Mapping[str, str]) -> dict[str, int]:
        """Start every process of the Procfile; return how many workers each master is to have."""
        masters = {}
        for name, command in commands.items():
            if name == "release":
                continue
            words = procfile.words(command, children)
            rank = SWEEPER if name == "sweeper" else DOORS_AND_WORKERS
            given = environment.for_process(children, name)
            self.keeper.add(Child(name, words, given, self.options.checkout, rank))
            if count := workers_up.expected(words):
                masters[name] = count
        return masters

    def _await_workers(self, redis_url: str, masters: Mapping[str, int]) -> None:
        """Wait until every process runs and every worker has been heard of; go on without, but say so."""

        def absent() -> list[str]:
            pids = self.keeper.pids()
            running = {name: (pid, masters[name]) for name, pid in pids.items() if name in masters}
            return sorted({*self.keeper.names() - pids.keys(), *workers_up.missing(redis_url, running)})

        what = "the workers to take up work"
        if not self.keeper.until(lambda: not absent(), what=what, seconds=PRESENCE_SECONDS):
            names = ", ".join(absent())
            self.output.say(f"no sign of {names} after {PRESENCE_SECONDS} s; going on without")

    def _show_sample(
        self, door: Door, salesforce: organization.Salesforce, unfinished: int
    ) -> tuple[str, str] | None:
        """Carry the sample import out if it is wanted; return what a person may import next."""
        found = sample.attachments(salesforce, self.options.pictures)
        if self.options.sample and found:
            sample.carry(door, found[0], self.output, self.keeper.until, unfinished=unfinished)
        elif self.options.sample:
            self.output.say("no sample import: the Salesforce named in the environment shows no picture")
        return found[-1] if found else None

    def _ready_line(
        self, door: Door, seeded: Seeded, password: str, masters: frozenset[str]
    ) -> dict[str, Any]:
        return {
            "ready": True,
            "base_url": door.base_url,
            "token": seeded.token,
            "user_id": seeded.user_id,
            "organization_id": seeded.organization_id,
            "dashboard_url": door.dashboard_url,
            "operator_password": password,
            "pids": {**self.keeper.pids_with_workers(masters), "sandbox": os.getpid()},
        }

    def _shell_file(self) -> Path:
        return self.folder.part("env")

    def _invitation(self, door: Door, password: str, following: tuple[str, str] | None) -> str:
        lines = [
            "",
            f"The world is up. Pictures and queues: {door.dashboard_url}",
            f"(logged in by this link for twelve hours; then as `operator` with {password})",
        ]
        if following is not None:
            lines += ["Import the next picture:", "", sample.curl(door, following), ""]
        imports = shlex.quote(str(Path(sys.executable).with_name("imports")))
        lines += ["Look after it from another terminal:", ""]
        lines += [f". {shlex.quote(str(self._shell_file()))}", f"{imports} queues", f"{imports} --help", ""]
        return "\n".join([*lines, "Ctrl-C ends everything; what was imported stays.", ""])

"""Run one process of the world: in a group of its own, its output passed on, started anew when it dies."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.output import Output

LONGEST_PAUSE = 2.0
STEADY_SECONDS = 10.0  # whoever lived so long has shown that it can live: its next pause is short again


@dataclass(slots=True)
class Child:
    """What to run, and how it has fared; `rank` says when it is stopped, the lowest first."""

    name: str
    words: list[str]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    rank: int
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    began: float = 0.0
    due: float | None = None  # when it is to be started anew; None while it runs

    def start(self, output: Output, now: float) -> None:
        """Start it. Raises OSError where the program is not there or cannot be run."""
        self.began, self.due = now, None
        self.process = launch(self.words, self.environment, self.folder)
        if self.process.stdout is not None:
            output.follow(self.name, self.process.stdout)

    @property
    def pid(self) -> int | None:
        """Its number while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def pause(self, now: float) -> float:
        """Count a death and return how long to wait before the next start: 0.1 s, doubling up to 2 s."""
        self.deaths = 0 if now - self.began >= STEADY_SECONDS else self.deaths
        self.deaths += 1
        return min(LONGEST_PAUSE, 0.1 * 2.0 ** (self.deaths - 1))

    def ended_how(self) -> str:
        """Say in words how it ended."""
        code = self.process.returncode if self.process is not None else None
        if code is None:
            return "could not be started"
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def launch(words: list[str], environment: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that Ctrl-C in the terminal reaches us alone."""
    return subprocess.Popen(  # noqa: S603 - the words come from the Procfile and from this package
        words,
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

"""Keep the world's folder: where everything lies, what was chosen at the first start, and the secrets.

world.json     ports, ids, the Salesforce that the organization was told of
env            for a person's shell: where the `imports` command finds the stores
secrets/       made once
mongodb/ redis/ salesforce/ blobs/ spool/ logs/

All of it is its owner's alone: documents and Redis hold what callers sent.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.endings import Refused

PARTS = ("mongodb", "redis", "salesforce", "blobs", "spool", "logs", "secrets")


class Folder:
    """One world's folder; `mark` tells it from every other, a copy of it included."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._world = path / "world.json"
        self.facts: dict[str, Any] = {}
        self.mark = ""

    def open(self) -> None:
        """Make what is missing. Raises Refused when the folder cannot be made or written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self._is_ours():
                self.path.chmod(0o700)
            for part in PARTS:
                self.part(part).mkdir(exist_ok=True)
                _close(self.part(part))
            for file in (self._world, self.part("env")):
                if file.exists():
                    file.chmod(0o600)
            with tempfile.TemporaryFile(dir=self.path) as probe:
                probe.write(b"room")
        except OSError as error:
            raise Refused(
                f"The folder {self.path} cannot be written ({error.strerror}); choose another one with --data."
            ) from None
        status = self.path.stat()
        self.mark = f"{status.st_dev:x}-{status.st_ino:x}"

    def _is_ours(self) -> bool:
        """Tell whether nobody else keeps anything here: a folder like /tmp must stay open to its users."""
        return self._world.exists() or not any(self.path.iterdir())

    def read(self) -> None:
        """Read what earlier starts decided. To be called by the one sandbox that holds the folder."""
        if not self._world.exists():
            return
        try:
            self.facts = dict(json.loads(self._world.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            raise Refused(f"{self._world} cannot be read; delete the folder to begin anew.") from None

    def keep(self, **facts: Any) -> None:
        """Remember facts over restarts; they are on the disk when this returns."""
        self.facts.update(facts)
        write(self._world, json.dumps(self.facts, indent=2) + "\n")

    def part(self, name: str) -> Path:
        """Return one of the folders inside."""
        return self.path / name

    def secret(self, name: str, make: Callable[[], str]) -> Path:
        """Return the file of a secret, made at the first call and never changed."""
        file = self.part("secrets") / name
        if not file.exists():
            write(file, make())
        return file


def _close(part: Path) -> None:
    """Close a part to other users of the machine, with all that an earlier start may have left open in it."""
    if stat.S_IMODE(part.stat().st_mode) & 0o077:
        part.chmod(0o700)
        for folder, folders, files in os.walk(part):
            for names, mode in ((folders, 0o700), (files, 0o600)):
                for path in (Path(folder, name) for name in names):
                    if not path.is_symlink():
                        path.chmod(mode)


def write(file: Path, text: str) -> None:
    """Write a file of our own whole or not at all, readable by its owner only."""
    unfinished = file.with_name(file.name + ".new")
    with open(
        os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(file)

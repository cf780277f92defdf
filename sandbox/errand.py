"""Run one command to its end: the release step and the operator's commands that the sandbox needs."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox import processes
from sandbox.endings import Refused, Stopped
from sandbox.output import Output


@dataclass(slots=True, kw_only=True)
class Errands:
    """Where and with what commands run; what they say on standard error is passed on as it comes."""

    environment: Mapping[str, str]
    folder: Path
    output: Output
    stopping: Callable[[], bool]

    def run(self, words: list[str], *, name: str, told: str = "", seconds: float = 60) -> tuple[int, str]:
        """Return the exit code and what stood on standard output; `told` is what the command can read.

        Raises Refused when the program is not there or takes too long, Stopped when the world is to end.
        """
        began = time.monotonic()
        with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as question:
            question.write(told.encode())
            question.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603 - the words come from the Procfile and from this package
                    words,
                    env=dict(self.environment),
                    cwd=self.folder,
                    stdin=question,
                    stdout=answer,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                raise Refused(f"{words[0]} cannot be started ({error.strerror}).", code=1) from None
            reader = self.output.follow(name, process.stderr) if process.stderr is not None else None
            while process.poll() is None:
                now = time.monotonic()
                if self.stopping() or now - began > seconds:
                    processes.end(lambda: processes.in_groups({process.pid}), seconds=1)
                    process.wait()
                    if self.stopping():
                        raise Stopped
                    raise Refused(f"`{name}` did not end within {seconds:.0f} s.", code=1)
                time.sleep(0.02)
            if reader is not None:
                reader.join(1)
            answer.seek(0)
            return process.returncode, answer.read().decode("utf-8", "replace")

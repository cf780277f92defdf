"""Tell people what happens, on standard error, and keep what the processes say in files of bounded size.

Nobody may have to wait for the reader of our standard error: a paused terminal, or a pipe that nobody
empties, would otherwise stop every process of the world at its next log line.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

LONGEST_LINE = 1 << 16
SILENCE = 1.7  # seconds without a word of ours, after which a person is told what is waited for: below two
LARGEST_LOG = 5 << 20  # then one older file is kept beside it


class _File(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say nothing of a full disk; the line is on standard error as well."""


class Output:
    """The one way to standard error; lines that find no room there are only in the files."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._lines: queue.Queue[bytes] = queue.Queue(maxsize=2000)
        self._files: dict[str, _File] = {}
        self._opening = threading.Lock()
        self._awaited: tuple[str, float] | None = None  # what, since when
        self._spoke = time.monotonic()
        threading.Thread(target=self._write, name="stderr", daemon=True).start()
        threading.Thread(target=self._give_signs, name="signs of life", daemon=True).start()

    def say(self, sentence: str) -> None:
        """Tell people one thing."""
        self._spoke = time.monotonic()
        self._show("sandbox", sentence)

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say every two seconds what is waited for and how long already; what the processes say does not count.

        One wait within another is told in its place. To be called by one thread.
        """
        around, self._awaited = self._awaited, (what, time.monotonic())
        try:
            yield
        finally:
            self._awaited = around

    def tell(self, text: str) -> None:
        """Show a text as it is, to be read or copied."""
        self._put(text + "\n")

    def follow(self, name: str, stream: IO[bytes]) -> threading.Thread:
        """Pass on every line of a process until it and whoever has inherited its output are gone."""
        reader = threading.Thread(
            target=self._pass_on, args=(name, stream), name=f"log of {name}", daemon=True
        )
        reader.start()
        return reader

    def flush(self, seconds: float = 1.0) -> None:
        """Give the reader of standard error a moment to take what is still waiting."""
        deadline = time.monotonic() + seconds
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _give_signs(self) -> None:
        while True:
            time.sleep(0.1)
            awaited, now = self._awaited, time.monotonic()
            if awaited is not None and now - self._spoke >= SILENCE:
                self.say(f"waiting for {awaited[0]}: {now - awaited[1]:.0f} s")

    def _pass_on(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(LONGEST_LINE):
                text = line.decode("utf-8", "replace").rstrip("\n")
                # A full disk must not end this thread: the process would then stall on its own output.
                with contextlib.suppress(OSError):
                    self._file(name).handle(logging.makeLogRecord({"msg": text}))
                self._show(name, text)

    def _file(self, name: str) -> _File:
        with self._opening:
            if name not in self._files:
                self._files[name] = _File(
                    self._logs / f"{name}.log", maxBytes=LARGEST_LOG, backupCount=1, encoding="utf-8"
                )
            return self._files[name]

    def _show(self, name: str, text: str) -> None:
        self._put(f"{name:<10} | {text}\n")

    def _put(self, text: str) -> None:
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(text.encode("utf-8", "replace"))

    def _write(self) -> None:
        while True:
            rest = self._lines.get()
            # Not through sys.stderr: a thread that sleeps in its lock would abort the interpreter's end.
            # A terminal that is gone takes nothing, and that is no reason to end.
            with contextlib.suppress(OSError):
                while rest:
                    rest = rest[os.write(2, rest) :]
            self._lines.task_done()

"""Tell a person what happens while it happens: a line per fault, and how far the run has come."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

NEWS_SECONDS = 10.0  # between two lines on progress where nobody watches a terminal


@dataclass(slots=True)
class Timeline:
    """Lines with the seconds since the first post; on a terminal the last one is rewritten as work goes on."""

    stream: TextIO = field(default_factory=lambda: sys.stdout)
    began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _shown: int = 0

    def begin(self) -> None:
        """Count from now."""
        self.began = time.monotonic()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        """Write a line that stays."""
        with self._lock:
            self._clear()
            self.stream.write(f"{self.now:7.1f} s  {text}\n")
            self.stream.flush()

    def tell(self, text: str) -> None:
        """Write a paragraph without a time."""
        with self._lock:
            self._clear()
            self.stream.write(f"{text}\n")
            self.stream.flush()

    def watch(self, progress: Callable[[], str], over: threading.Event) -> threading.Thread:
        """Show progress until it is over: in place on a terminal, now and then elsewhere."""
        live = self.stream.isatty()

        def look() -> None:
            while not over.wait(0.5 if live else NEWS_SECONDS):
                if live:
                    self._rewrite(f"{self.now:7.1f} s  {progress()}")
                else:
                    self.say(progress())

        thread = threading.Thread(target=look, name="progress", daemon=True)
        thread.start()
        return thread

    def _rewrite(self, text: str) -> None:
        with self._lock:
            self._clear()
            self.stream.write(text)
            self.stream.flush()
            self._shown = len(text)

    def _clear(self) -> None:
        if self._shown:
            self.stream.write("\r" + " " * self._shown + "\r")
            self._shown = 0

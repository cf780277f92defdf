"""Say how a store is set, and look once at each when a process starts.

What a store risks is known beside the store (`documents/safety.py`, `queue/safety.py`); the process that
starts and the operator's `imports doctor` say it in the same words.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

log = structlog.get_logger(__name__)

State = Literal["ok", "warning", "bad"]
LOOK_SECONDS = 2.0  # between two looks at a store that is away


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, how it is, and what to do about it where it is not well."""

    name: str
    state: State
    detail: str
    advice: str = ""

    @property
    def text(self) -> str:
        """Return the finding in one line."""
        return f"{self.name}: {self.detail}" + (f" {self.advice}" if self.advice else "")


Look = Callable[[], list[Check] | None]  # None while the store is away


class StoresLook:
    """Looks at each store once, as soon as it answers, and warns of what could lose accepted work.

    `strict`: a store that is not safe ends the process, at its start or, where the store came later, by `end`.
    A store that is away ends nothing, for processes start in any order.
    """

    def __init__(self, *looks: Look, strict: bool, end: Callable[[], None]) -> None:
        self._open, self._strict, self._end = list(looks), strict, end
        self._ended = threading.Event()
        self.refused = False

    def start(self) -> bool:
        """Begin to look. False: a store is not safe and the process must not go on.

        Where `strict`, the first look comes before anything is begun; every other is made beside the work.
        """
        if not self._strict or not self.once():
            threading.Thread(target=self._run, name="stores look", daemon=True).start()
        return not self.refused

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def once(self) -> bool:
        """Look at the stores that were not looked at yet. True where none is left to look at."""
        for look in tuple(self._open):
            found = look()
            if found is None:
                continue
            self._open.remove(look)
            unsafe = [check for check in found if check.state != "ok"]
            for check in unsafe:
                log.warning("store not safe", store=check.name, risk=check.detail, advice=check.advice)
            if unsafe and self._strict:
                log.error("stopping", reason="the stores are not set safely (STRICT_STORES=true)")
                self.refused = True
                return True
        return not self._open

    def _run(self) -> None:
        while not self.once() and not self._ended.wait(LOOK_SECONDS):
            pass
        if self.refused:
            self._end()

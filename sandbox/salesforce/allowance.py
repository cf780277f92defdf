"""Count calls against the limits that the vendor sets, let them run out, and let them come free again.

The day's total is a rolling window (API Request Limits and Allocations, "Total API Request Allocations";
developer.salesforce.com, Salesforce Developer Limits and Allocations Quick Reference); calls at once that
take long have a limit of their own. Beyond either a call is answered 403 REQUEST_LIMIT_EXCEEDED.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

DAILY = 100_000
DAY_SECONDS = 86_400.0
CONCURRENT = 25


@dataclass(slots=True)
class Allowance:
    """The calls of one organization; `monotonic` is a clock in seconds."""

    daily: int = DAILY
    window: float = DAY_SECONDS
    concurrent: int = CONCURRENT
    monotonic: Callable[[], float] = time.monotonic
    in_flight: int = 0
    most_in_flight: int = 0
    _spent: deque[tuple[float, int]] = field(default_factory=deque)
    _sum: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def used(self) -> int:
        """Return how many calls of the window so far count."""
        with self._lock:
            self._forget()
            return self._sum

    def spend(self, calls: int = 1) -> bool:
        """Count calls; False, and nothing counted, where they exceed the window's total."""
        with self._lock:
            self._forget()
            if self._sum + calls > self.daily:
                return False
            self._spent.append((self.monotonic(), calls))
            self._sum += calls
            return True

    def set(self, asked: dict[str, Any]) -> None:
        """Change the limits: `daily`, `window_seconds`, `concurrent`, and `used` as if by other integrations."""
        unknown = set(asked) - {"daily", "window_seconds", "concurrent", "used"}
        if unknown:
            raise ValueError(f"unknown field: {', '.join(sorted(unknown))}")
        with self._lock:
            self.daily = int(asked.get("daily", self.daily))
            self.window = float(asked.get("window_seconds", self.window))
            self.concurrent = int(asked.get("concurrent", self.concurrent))
            if "used" in asked:
                self._spent, self._sum = deque([(self.monotonic(), int(asked["used"]))]), int(asked["used"])

    def shown(self) -> dict[str, Any]:
        """Tell the limits and what is used of them."""
        used = self.used()
        return {
            "daily": self.daily,
            "window_seconds": self.window,
            "used": used,
            "left": max(0, self.daily - used),
            "concurrent": self.concurrent,
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
        }

    def begin(self) -> bool:
        """Count a call as in flight; False where too many are. Always to be ended."""
        with self._lock:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            return self.in_flight <= self.concurrent

    def end(self) -> None:
        """End what was begun."""
        with self._lock:
            self.in_flight -= 1

    def _forget(self) -> None:
        while self._spent and self._spent[0][0] <= self.monotonic() - self.window:
            self._sum -= self._spent.popleft()[1]

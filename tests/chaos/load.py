"""Post imports at a steady rate, as clients with patience do, and look at earlier ones in between.

A client repeats a post that was not answered, or answered 503, under the same idempotency key until it is
accepted. Any other answer is one that the product must never give here.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import requests

from common.documents.statuses import ENDED
from tests.chaos.product import ChaosWorld

CLIENTS = 6
PATIENCE_SECONDS = 60.0
ANSWER_SECONDS = 15.0


class Load:
    """What is posted, at what rate, and how it was answered."""

    def __init__(
        self,
        world: ChaosWorld,
        things: Sequence[tuple[str, str]],
        *,
        seconds: float,
        mark: str,
        over: threading.Event,
    ) -> None:
        self.world, self.things, self.mark, self.over = world, things, mark, over
        self.interval = seconds / max(1, len(things))
        self.answers: Counter[str] = Counter()
        self.slowest: dict[str, float] = {}
        self.unexpected: list[str] = []
        self.given_up: list[str] = []
        self.seen_ended: dict[str, str] = {}
        self.reverted: list[str] = []
        self._next = 0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._client, name=f"client {number}", daemon=True)
            for number in range(CLIENTS)
        ]

    def start(self) -> None:
        """Begin to post."""
        self.began = time.monotonic()
        for thread in self._threads:
            thread.start()

    @property
    def posting(self) -> bool:
        """Whether there is still something to post."""
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Wait until everything was accepted or given up."""
        for thread in self._threads:
            thread.join()

    def _client(self) -> None:
        with requests.Session() as http:
            http.headers["Authorization"] = self.world.http.headers["Authorization"]
            while not self.over.is_set():
                with self._lock:
                    number = self._next
                    self._next += 1
                if number >= len(self.things):
                    return
                if self.over.wait(max(0.0, self.began + number * self.interval - time.monotonic())):
                    return
                self._submit(http, *self.things[number])
                self._look(http, number)

    def _submit(self, http: requests.Session, name: str, attachment_id: str) -> None:
        form = {"attachment_id": attachment_id, "import_type": "salesforce", "filename": name}
        key = {"Idempotency-Key": f'"{self.mark}-{name}"'}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.over.is_set():
            answer = self._call(http, "POST", "/api/v1/imports", data=form, headers=key)
            if answer is not None and answer.status_code == 200:
                self.world.accepted[answer.json()["id"]] = name
                return
            if answer is not None and answer.status_code != 503:
                return
            if time.monotonic() > deadline:
                self.given_up.append(name)
                return
            asked = answer.headers.get("Retry-After", "") if answer is not None else ""
            self.over.wait(min(2.0, float(asked) if asked.isdigit() else 0.3))

    def _look(self, http: requests.Session, number: int) -> None:
        """Read an earlier import: once it has ended, it must be seen so for ever."""
        known = list(self.world.accepted)
        import_id = known[(number * 7919) % len(known)] if known else None
        if import_id is None:
            return
        answer = self._call(http, "GET", f"/api/v1/imports/{import_id}")
        if answer is None or answer.status_code != 200:
            return
        status, before = answer.json()["status"], self.seen_ended.get(import_id)
        if before is not None and status != before:
            self.reverted.append(f"{import_id}: {before}, then {status}")
        if status in ENDED:
            self.seen_ended[import_id] = status

    def _call(self, http: requests.Session, method: str, path: str, **more: Any) -> requests.Response | None:
        began = time.monotonic()
        try:
            answer = http.request(method, self.world.url + path, timeout=ANSWER_SECONDS, **more)
        except requests.RequestException:
            with self._lock:
                self.answers[f"{method} unanswered"] += 1
            return None
        seconds, told = time.monotonic() - began, f"{method} {answer.status_code}"
        with self._lock:
            self.answers[told] += 1
            self.slowest[told] = max(self.slowest.get(told, 0.0), seconds)
            if answer.status_code not in (200, 503) or (
                answer.status_code == 503 and "Retry-After" not in answer.headers
            ):
                self.unexpected.append(f"{told} {answer.text[:200]}")
        return answer

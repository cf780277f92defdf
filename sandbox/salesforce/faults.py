"""Spoil answers on demand: which calls, in which way, how many times.

A fault is one JSON object. `path` (a regular expression found in the path), `id` (in either form),
`method` and `client_id` say which calls it meets, all of them by default; `times` how many before it is
used up (null: for ever); `kind` what happens:

    status            answer `status` (503) with `body` (text or JSON) and `headers` instead
    error             answer with the vendor's own error of a `code` (see `errors`), in its shape and status
    limit_exceeded    403 REQUEST_LIMIT_EXCEEDED, the day's total; `concurrent: true` for the other one
    html200           200 with a login page where data should be
    redirect          302 to `location`
    expire_sessions   forget every session first, so that this call is answered 401
    delay             wait `seconds` (1), then answer as usual
    stall             say nothing for `seconds` (3600) after `after_bytes` of the body (null: not even headers)
    drip              send the body at `bytes_per_second` (1)
    reset             reset the connection after `after_bytes` of the body (null: before any answer)
    truncate          announce the whole body and close after `after_bytes` (half of it)
    wrong_length      answer well-formed with `cut` (1) bytes fewer than the row promises
    garble            flip one byte in the middle of the body
    padded            send one byte more than the row promises
    gzip              compress the body though nobody asked for it
    chunked           send the body whole, in chunks and without a length
    endless           send the body again and again, in chunks, until the client goes
    drip_headers      send a header without end, twenty letters a second
"""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import dataclass, field
from typing import Any

from sandbox.salesforce.errors import CODES
from sandbox.salesforce.ids import canonical

KINDS = (
    "status",
    "error",
    "limit_exceeded",
    "html200",
    "redirect",
    "expire_sessions",
    "delay",
    "stall",
    "drip",
    "reset",
    "truncate",
    "wrong_length",
    "garble",
    "padded",
    "gzip",
    "chunked",
    "endless",
    "drip_headers",
)
_OPTIONS = {
    "status",
    "body",
    "headers",
    "concurrent",
    "location",
    "seconds",
    "after_bytes",
    "bytes_per_second",
    "cut",
    "code",
}
_MATCH = {"path", "id", "method", "client_id"}


@dataclass(slots=True)
class Fault:
    """One way in which some calls go wrong, and how many are still to be met."""

    number: int
    kind: str
    match: dict[str, str]
    options: dict[str, Any]
    times: int | None = 1
    met: int = 0

    def meets(self, *, method: str, path: str, client_id: str | None) -> bool:
        """Tell whether a call is one of those this fault is about."""
        wanted = self.match
        return (
            (self.times is None or self.met < self.times)
            and ("path" not in wanted or re.search(wanted["path"], path) is not None)
            and ("id" not in wanted or canonical(wanted["id"]) in map(canonical, path.split("/")))
            and wanted.get("method", method).upper() == method
            and wanted.get("client_id", client_id) == client_id
        )

    def shown(self) -> dict[str, Any]:
        """Write the fault as the control endpoint lists it."""
        return {
            "fault": self.number,
            "kind": self.kind,
            **self.match,
            **self.options,
            "times": self.times,
            "met": self.met,
        }


@dataclass(slots=True)
class Faults:
    """The faults in force, in the order in which they were asked for; the first that meets a call wins."""

    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def add(self, asked: dict[str, Any]) -> Fault:
        """Put a fault in force. Raises ValueError with a sentence for a request that makes no sense."""
        unknown = set(asked) - _OPTIONS - _MATCH - {"kind", "times"}
        if unknown:
            raise ValueError(f"unknown field: {', '.join(sorted(unknown))}")
        if asked.get("kind") not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        if asked["kind"] == "error" and asked.get("code") not in CODES:
            raise ValueError(f"code must be one of {', '.join(CODES)}")
        if "id" in asked and canonical(asked["id"]) is None:
            raise ValueError("id must be a record id of 15 or 18 characters")
        with self._lock:
            fault = Fault(
                next(self._numbers),
                asked["kind"],
                {
                    name: re.compile(asked[name]).pattern if name == "path" else asked[name]
                    for name in _MATCH & set(asked)
                },
                {name: asked[name] for name in _OPTIONS & set(asked)},
                asked.get("times", 1),
            )
            self._faults.append(fault)
            return fault

    def take(self, *, method: str, path: str, client_id: str | None) -> Fault | None:
        """Return the fault that a call meets and count it, or None."""
        with self._lock:
            for fault in self._faults:
                if fault.meets(method=method, path=path, client_id=client_id):
                    fault.met += 1
                    return fault
            return None

    def clear(self, number: int | None = None) -> None:
        """Lift one fault, or all."""
        with self._lock:
            self._faults = [fault for fault in self._faults if number is not None and fault.number != number]

    def shown(self) -> list[dict[str, Any]]:
        """List what was asked for, used up or not."""
        with self._lock:
            return [fault.shown() for fault in self._faults]

"""Say what a source is: something that describes a record and streams its bytes, for one organization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol

from workers.deadlines import Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a source says about a record before its bytes are read. All of it is a claim to be verified."""

    id: str
    name: str | None = None
    content_type: str | None = None
    size: int | None = None  # bytes
    md5: str | None = None  # hexadecimal, where the source keeps one
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What arrived: as many bytes as were promised, and their digest."""

    bytes: int
    sha256: str


class Visit(Protocol):
    """One attempt at one record. Whatever it bounds per attempt (a second login, say) it bounds here."""

    @property
    def calls(self) -> int:
        """How many calls have counted against the organization's allowance so far."""
        ...

    def describe(self) -> Record:
        """Ask what the record is. Raises a Failure."""
        ...

    def stream(self, record: Record, sink: BinaryIO, *, max_bytes: int) -> Received:
        """Write the record's bytes to the sink and verify them. Raises a Failure; the sink may hold a part then."""
        ...


class Source(Protocol):
    """Where one organization's records come from; used by many threads at once."""

    def visit(self, record_id: str, *, deadline: Deadline) -> Visit:
        """Begin an attempt at a record. Raises a Failure for an id that is none; asks nothing yet."""
        ...

    def close(self) -> None:
        """Let connections go. A visit under way may fail as if its connection had broken."""
        ...

"""Say what a source is: something that lists, describes and streams records, for one organization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, BinaryIO, Protocol

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
class ListedRecord:
    """One record of an album as its listing tells it; as much a claim as a `Record`."""

    record_id: str  # canonical: what an import names as its source
    kind: str  # the object's name, as in "Attachment"
    name: str | None
    size: int | None  # bytes
    content_type: str | None
    md5: str | None
    created_at: datetime | None
    parent_id: str | None  # what it hangs on: the album itself, or one of its messages

    def kept(self) -> dict[str, Any]:
        """Return what the document of its import keeps under `listed`, so that the row is not asked for again."""
        told = asdict(self)
        return {name: told[name] for name in ("name", "size", "content_type", "md5", "parent_id")}


def listed(record_id: str, kept: Mapping[str, Any] | None) -> Record | None:
    """Return the row that an import's document keeps under `listed`; None where it keeps none."""
    return None if kept is None else Record(id=record_id, **kept)


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

    def open(self) -> AbstractContextManager[None]:
        """Keep what the calls share (a place among those that an organization takes at once) for the length of a block;
        without it each call sees to it for itself."""
        ...

    def describe(self) -> Record:
        """Ask what the record is, unless that is known already. Raises a Failure."""
        ...

    def stream(self, record: Record, sink: BinaryIO, *, max_bytes: int) -> Received:
        """Write the record's bytes to the sink and verify them. Raises a Failure; the sink may hold a part then."""
        ...


class Listing(Protocol):
    """The records of an album, page by page; each page is asked for when it is wanted. Raises a Failure."""

    @property
    def calls(self) -> int:
        """How many calls have counted against the organization's allowance so far."""
        ...

    def __iter__(self) -> Iterator[list[ListedRecord]]:
        """Yield pages, none of them empty. A record is listed once, however many links lead to it."""
        ...


class Source(Protocol):
    """Where one organization's records come from; used by many threads at once."""

    def visit(
        self, record_id: str, *, deadline: Deadline, known: Record | None = None, group: bool = False
    ) -> Visit:
        """Begin an attempt at a record. Raises a Failure for an id that is none; asks nothing yet.

        `known` is the record's row where a listing has told it: `describe` then costs no call. `group`
        says that the import belongs to a group, which leaves the organization's reserve of calls alone.
        """
        ...

    def images_of(
        self,
        album_id: str,
        *,
        created_since: datetime | None = None,
        include_emails: bool = True,
        deadline: Deadline,
    ) -> Listing:
        """List what hangs on an album, images or not, since some moment. Raises a Failure for an id that is none."""
        ...

    def close(self) -> None:
        """Let connections go. A visit under way may fail as if its connection had broken."""
        ...

"""Expand a group: list its album page by page and have an import written for each picture.

Nothing is remembered but counts, so ten thousand records cost what one page costs. A listing that was cut off
is begun anew: the children that it wrote are found again by their ids, which are made of their records.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from workers.failures import Interrupted
from workers.sources.record import ListedRecord
from workers.stages.sift import Sift

PIECE = 500  # records looked at in one go


class Known(Enum):
    """What a record has already."""

    OURS = "an import of this very group"
    EXISTING = "an import of another group"
    FAILED = "a failed import of another group, which is to be tried again"


@dataclass(slots=True)
class Counts:
    """How far a listing is. `positions` counts the places given out, also to imports that were never written.

    `skipped` counts what was left out, by its code.
    """

    children: int = 0
    positions: int = 0
    existing: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


class Book(Protocol):
    """Where a listing is written down, under the claim of its group. Raises what says that the claim is lost."""

    def known(self, records: Sequence[ListedRecord]) -> Mapping[str, Known]:
        """Return what the records have already, by their ids; those that have nothing are not in it."""
        ...

    def retry(self, record: ListedRecord) -> None:
        """Open the failed import of a record again."""
        ...

    def progressed(self, counts: Counts) -> None:
        """Write down how far the listing is."""
        ...

    def write(self, records: Sequence[ListedRecord], *, start: int) -> int:
        """Write imports for records, at places from `start` on. Returns how many were there already."""
        ...

    def left_out(self, page: int, skips: Sequence[tuple[str, str]]) -> None:
        """Keep what one piece left out, as (record id, code)."""
        ...


def expand(
    listing: Iterable[list[ListedRecord]],
    *,
    sift: Sift,
    book: Book,
    positions: int,
    stopping: threading.Event,
) -> Counts:
    """Write the children of a group. Raises a Failure, or what the book raises.

    `positions` is how many places earlier attempts gave out: none is given out twice.
    """
    counts = Counts(positions=positions)
    for number, piece in enumerate(_pieces(listing)):
        if stopping.is_set():
            raise Interrupted
        _expand_piece(piece, number, counts, sift=sift, book=book)
    book.progressed(counts)
    return counts


def _expand_piece(piece: list[ListedRecord], number: int, counts: Counts, *, sift: Sift, book: Book) -> None:
    known = book.known(piece)
    new: list[ListedRecord] = []
    skips: list[tuple[str, str]] = []
    for record in piece:
        has = known.get(record.record_id)
        if has is None:
            code = sift.left_out(record)
            if code is None:
                new.append(record)
            else:
                skips.append((record.record_id, code))
                counts.skipped[code] += 1
            continue
        sift.saw(record)
        counts.children += has is Known.OURS
        counts.existing += has is not Known.OURS
        if has is Known.FAILED:
            book.retry(record)
    start, counts.positions = counts.positions, counts.positions + len(new)
    # The places are taken, and the claim proven, before any import is written at them.
    book.progressed(counts)
    if new:
        there = book.write(new, start=start)
        counts.children += len(new) - there
        counts.existing += there
    if skips:
        book.left_out(number, skips)


def _pieces(listing: Iterable[list[ListedRecord]]) -> Iterator[list[ListedRecord]]:
    for page in listing:
        for begin in range(0, len(page), PIECE):
            yield page[begin : begin + PIECE]

"""A listing becomes children: in pieces, resumable, without doubles, at bounded memory."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence

import pytest

from workers.failures import Interrupted
from workers.sources.record import ListedRecord
from workers.stages.expand import PIECE, Counts, Known, expand
from workers.stages.sift import Sift

ALBUM = "album"


def record(number: int, *, name: str = "a.jpg") -> ListedRecord:
    return ListedRecord(
        record_id=f"r{number}",
        kind="Attachment",
        name=name,
        size=1_000,
        content_type=None,
        md5=None,
        created_at=None,
        parent_id=ALBUM,
    )


class Book:
    """What is written down; dies at a write where a test says so."""

    def __init__(self) -> None:
        self.children: dict[str, int] = {}
        self.others: dict[str, Known] = {}
        self.skips: list[tuple[str, str]] = []
        self.retried: list[str] = []
        self.told = Counts()
        self.dies_at: int | None = None
        self.writes = 0

    def known(self, records: Sequence[ListedRecord]) -> Mapping[str, Known]:
        ours = {one.record_id: Known.OURS for one in records if one.record_id in self.children}
        return ours | {
            one.record_id: self.others[one.record_id] for one in records if one.record_id in self.others
        }

    def retry(self, record: ListedRecord) -> None:
        self.retried.append(record.record_id)

    def progressed(self, counts: Counts) -> None:
        self.told = Counts(counts.children, counts.positions, counts.existing, counts.skipped.copy())

    def write(self, records: Sequence[ListedRecord], *, start: int) -> int:
        self.writes += 1
        for place, one in enumerate(records):
            if self.dies_at is not None and start + place >= self.dies_at:
                raise ConnectionError
            self.children[one.record_id] = start + place
        return 0

    def left_out(self, page: int, skips: Sequence[tuple[str, str]]) -> None:
        self.skips += skips


def run(book: Book, pages: Iterator[list[ListedRecord]] | list[list[ListedRecord]], **more: int) -> Counts:
    sift = Sift(album_id=ALBUM, kinds=None, max_bytes=10**9, logo_bytes=0)
    return expand(pages, sift=sift, book=book, stopping=threading.Event(), positions=more.get("positions", 0))


def test_every_picture_gets_a_place_of_its_own() -> None:
    """Children are numbered through all pages; what is left out takes no place and says why."""
    book = Book()
    counts = run(book, [[record(0), record(1, name="a.pdf")], [record(2)]])
    assert book.children == {"r0": 0, "r2": 1}
    assert book.skips == [("r1", "not_an_image")]
    assert (counts.children, counts.positions, counts.existing) == (2, 2, 0)
    assert counts.skipped == {"not_an_image": 1}
    assert book.told == counts


def test_a_listing_that_was_cut_off_is_finished_without_doubles() -> None:
    """Begun anew, it finds its children again, writes the rest, and gives no place out twice."""
    book = Book()
    pages = [[record(number) for number in range(start, start + 10)] for start in (0, 10)]
    book.dies_at = 14
    with pytest.raises(ConnectionError):
        run(book, pages)
    assert len(book.children) == 14
    book.dies_at = None
    counts = run(book, pages, positions=book.told.positions)
    assert len(book.children) == counts.children == 20
    assert len(set(book.children.values())) == 20


def test_what_another_group_brought_is_existing_and_failed_ones_are_tried_again() -> None:
    """The same call again writes only what is new."""
    book = Book()
    book.others = {"r0": Known.EXISTING, "r1": Known.FAILED}
    counts = run(book, [[record(0), record(1), record(2)]])
    assert (list(book.children), book.retried) == (["r2"], ["r1"])
    assert (counts.children, counts.existing) == (1, 2)


def test_it_stops_between_two_pieces_when_told() -> None:
    """A worker that has to end gives its listing back."""
    stopping = threading.Event()

    def pages() -> Iterator[list[ListedRecord]]:
        yield [record(0)]
        stopping.set()
        yield [record(1)]

    book = Book()
    sift = Sift(album_id=ALBUM, kinds=None, max_bytes=10**9, logo_bytes=0)
    with pytest.raises(Interrupted):
        expand(pages(), sift=sift, book=book, positions=0, stopping=stopping)
    assert list(book.children) == ["r0"]


def test_ten_thousand_pictures_cost_the_memory_of_a_page() -> None:
    """Nothing grows with the album but what the store keeps."""

    class Forgetful(Book):
        def write(self, records: Sequence[ListedRecord], *, start: int) -> int:
            assert len(records) <= PIECE
            self.writes += 1
            return 0

    def peak(pages: int) -> int:
        tracemalloc.start()
        run(Forgetful(), ([record(page * 1_000 + n) for n in range(1_000)] for page in range(pages)))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(10) < peak(1) * 1.5 + 100_000

"""Look at what an import or a group would bring, without bringing it: a dry run writes nothing anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from workers.failures import Permanent
from workers.sources.record import ListedRecord, Record, Visit
from workers.stages.sift import is_no_picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the source tells of one record, and what would stop its import."""

    record: Record
    problem: Permanent | None


def look_at_record(visit: Visit, *, max_bytes: int) -> Seen:
    """Ask for the record's row, and judge what can be judged by it. Raises a Failure."""
    record = visit.describe()
    problem = None
    if record.size == 0:
        problem = Permanent("attachment_empty", "The attachment has no bytes.")
    elif record.size is not None and record.size > max_bytes:
        problem = Permanent("attachment_too_large", f"The attachment is larger than {max_bytes} bytes.")
    elif is_no_picture(record.content_type, record.name):
        problem = Permanent("not_an_image", "By its name and type the attachment is no picture.")
    return Seen(record=record, problem=problem)


def look_at_album(
    listing: Iterable[list[ListedRecord]],
    *,
    left_out: Callable[[ListedRecord], str | None],
    existing: Callable[[Sequence[ListedRecord]], set[str]],
) -> dict[str, int]:
    """Count what a group would find: `new`, `existing` and `skipped`. Raises a Failure.

    `existing` returns the ids of those records that have an import by a group already.
    """
    counts = Counter({"new": 0, "existing": 0, "skipped": 0})
    for page in listing:
        there = existing(page)
        for record in page:
            if record.record_id in there:
                counts["existing"] += 1
            else:
                counts["skipped" if left_out(record) else "new"] += 1
    return dict(counts)

"""Bring an original from its source into the blobs: spool, verify, store, and only then say so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.blobs.seam import Blobs
from common.crashpoints import reached
from common.sources import judge
from workers.deadlines import Deadline
from workers.failures import Failure, Interrupted, Permanent
from workers.sources.record import Source, Visit, listed
from workers.spool import spool_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The fetched bytes as the record keeps them; type and name are what the source claims."""

    key: str
    bytes: int
    sha256: str
    content_type: str | None
    filename: str | None
    calls: int = 0  # that counted against the organization's allowance


def fetch(  # noqa: PLR0913 - all of it by keyword
    *,
    organization_id: str,
    source_type: str,
    record_id: str,
    source: Source,
    blobs: Blobs,
    spool_dir: Path,
    max_bytes: int,
    deadline: Deadline,
    known: Mapping[str, Any] | None = None,
    group: bool = False,
) -> Original:
    """Fetch a record and return once its bytes are stored. Raises a Failure, or what the blobs raise.

    `known` is what its import keeps under `listed`; then the row is not asked for again. `group` says that
    the import belongs to one.

    The file in work has no name from the beginning, so that nothing is left of it however this ends.
    """
    judged = judge(import_type=source_type, attachment_id=record_id)
    if judged.record_id is None:  # the door has judged it, but a document may be older than its rules
        raise Permanent(judged.code or "attachment_id_invalid", judged.detail or "")
    row = listed(judged.record_id, known)
    visit = source.visit(judged.record_id, deadline=deadline, known=row, group=group)
    with _counting(visit), visit.open():
        record = visit.describe()
        with spool_file(spool_dir) as spool:
            received = visit.stream(record, spool, max_bytes=max_bytes)
            if deadline.stopping.is_set():
                raise Interrupted
            reached("fetch.received")
            key = f"{organization_id}/originals/{received.sha256}"
            blobs.put(
                key,
                spool,
                size=received.bytes,
                sha256=received.sha256,
                # The claim is kept in the record alone: nothing that serves or opens the blob may act on it.
                content_type="application/octet-stream",
            )
    return Original(
        key=key,
        bytes=received.bytes,
        sha256=received.sha256,
        content_type=record.content_type,
        filename=record.name,
        calls=visit.calls,
    )


@contextlib.contextmanager
def _counting(visit: Visit) -> Iterator[None]:
    """Let a failure tell what it has cost: the organization's allowance is spent whatever came of it."""
    try:
        yield
    except Failure as failure:
        failure.calls = visit.calls
        raise

"""Bring an original from its source into the blobs: spool, verify, store, and only then say so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.blobs.seam import Blobs
from common.crashpoints import reached
from common.sources import judge
from workers.deadlines import Deadline
from workers.failures import Interrupted, Permanent
from workers.sources.record import Source
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
) -> Original:
    """Fetch a record and return once its bytes are stored. Raises a Failure, or what the blobs raise.

    The file in work has no name from the beginning, so that nothing is left of it however this ends.
    """
    judged = judge(import_type=source_type, attachment_id=record_id)
    if judged.record_id is None:  # the door has judged it, but a document may be older than its rules
        raise Permanent(judged.code or "attachment_id_invalid", judged.detail or "")
    visit = source.visit(judged.record_id, deadline=deadline)
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

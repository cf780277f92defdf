"""Accept an import: judge what it asks for, write it down, then enqueue it. In this order, because

1. judged first, so that what can never be fetched is recorded as failed at once and costs no job;
2. written before it is enqueued, so that no worker can be sent to an import that does not exist, and so that
   a 2xx answer rests on the document (majority, journaled) alone;
3. enqueued last and without waiting. A crash between 2 and 3, a Redis that is away or a full queue lose
   nothing: the document says when it is due, and the sweeper asks for whatever is due.

A crash before 2 has accepted nothing, and the caller has no answer. One after 2 whose answer is lost leaves an
import that the caller may ask for again: that makes a second one, unless the request had an Idempotency-Key.
The key stands in the same write as the import, under a unique index, so of any number of repetitions, one
after the other or at once, exactly one is written and the others find it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from common import sources
from common.crashpoints import reached
from common.documents.database import Document
from common.documents.imports import FETCH
from common.documents.new_imports import Once, accepted, refused
from ingest import params as parameters
from ingest.auth import Identity
from ingest.errors import KeyReusedError

DUE_IN = 5.0  # seconds: ample for the queue, short for whoever waits where it was not enqueued


class Ledger(Protocol):
    """Where imports are written down; `insert` returns the durable one: this, or an earlier one of the same key."""

    async def insert(self, document: Document) -> Document: ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """The import as it is recorded now; `replayed` if an earlier request with the same key made it."""

    document: Document
    replayed: bool


async def accept(  # noqa: PLR0913 - all of it by keyword
    params: Mapping[str, Any],
    identity: Identity,
    *,
    echo: str,
    imports: Ledger,
    enqueue: Callable[[str, Document], None],
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
    request_id: str,
    once: Callable[[datetime], Once] | None = None,
) -> Accepted:
    """Return the import as it was recorded: `queued`, or `failed` where it can never be carried out.

    `echo` is what is kept of `params`, as JSON text; `once` makes of the time of acceptance what an Idempotency-Key asks for.
    Raises what the store raises (nothing was accepted then, as far as anybody knows), PayloadTooLargeError
    for too large a `metadatas`, and KeyReusedError where the key came with another request.
    """
    now = clock()
    sent = dict(params)
    judged = sources.judge(
        import_type=parameters.text(sent, "import_type"), attachment_id=parameters.text(sent, "attachment_id")
    )
    document = accepted(
        new_id(),
        organization_id=identity.organization_id,
        user_id=identity.user_id,
        params=echo,
        import_type=parameters.text(sent, "import_type"),
        album_id=parameters.text(sent, "album_id"),
        filename=parameters.text(sent, "filename"),
        metadatas=parameters.frozen(sent["metadatas"]) if "metadatas" in sent else None,
        source_type=judged.source_type,
        record_id=judged.record_id,
        request_id=request_id,
        now=now,
        due_in=DUE_IN,
        once=None if once is None else once(now),
    )
    if judged.code is not None:
        document = refused(document, code=judged.code, detail=judged.detail or "")
    reached("accept.judged")
    kept = await imports.insert(document)
    reached("accept.written")
    if kept["_id"] != document["_id"]:
        if kept.get("idempotency_digest") != document["idempotency_digest"]:
            raise KeyReusedError
        return Accepted(kept, replayed=True)
    if judged.code is None:
        enqueue(FETCH.name, document)
    reached("accept.rung")
    return Accepted(document, replayed=False)

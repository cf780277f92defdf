"""Accept a group: judge what it asks for, write it down, then enqueue it, in the order of `accept.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from common.documents.database import Document
from common.documents.groups import EXPAND, new_group
from ingest.accept import DUE_IN
from ingest.auth import Identity
from ingest.group_order import judged


class Ledger(Protocol):
    """Where groups are written down; `insert` returns when the document is durable."""

    async def insert(self, group: Document) -> None: ...


async def accept_group(  # noqa: PLR0913 - all of it by keyword
    params: Mapping[str, Any],
    identity: Identity,
    *,
    groups: Ledger,
    enqueue: Callable[[str, Document], None],
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
    request_id: str,
) -> Document:
    """Return the group as it was recorded. Raises ProblemError (422) for an order without a possible meaning."""
    order = judged(params)
    if order.faults:
        raise order.problem()
    group = new_group(
        new_id(),
        organization_id=identity.organization_id,
        user_id=identity.user_id,
        request_id=request_id,
        album_id=order.album_id,
        source_type=order.source_type,
        options=order.options,
        now=clock(),
        due_in=DUE_IN,
    )
    await groups.insert(group)
    enqueue(EXPAND.name, group)
    return group

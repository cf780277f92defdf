"""Serve import groups: ask for all pictures of an album, see how far they are, page through them, cancel."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from falcon.asgi import Request, Response

from common.documents.database import Document
from common.documents.groups import CLOSED
from common.documents.statuses import OPEN
from ingest import dry_run, present_group, rack
from ingest.accept_group import accept_group
from ingest.admission import Admission
from ingest.errors import ConflictError, NotFoundError, ProblemError
from ingest.resources.imports import checked_id, shown
from ingest.sent import sent_with, size_of

PATH = "/api/v1/import_groups"
PAGE, LARGEST_PAGE = 100, 200  # imports; a page of the largest is some 200 kB


class GroupsStore(Protocol):
    """The door's queries on groups. Raises ConnectionFailure where MongoDB is away."""

    async def insert(self, group: Document) -> None: ...

    async def find(self, group_id: str) -> Document | None: ...

    async def counts(self, group: Document) -> dict[str, int]: ...

    async def left_out(self, group: Document) -> list[Document]: ...

    async def children(self, group_id: str, *, start: int, limit: int) -> list[Document]: ...

    async def cancel(self, group_id: str, *, now: datetime) -> Document | None: ...


class GroupsResource:
    """POST /api/v1/import_groups."""

    access = "token"

    def __init__(  # noqa: PLR0913 - all of it by keyword
        self,
        *,
        groups: GroupsStore,
        enqueue: Callable[[str, Document], None],
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        zone: ZoneInfo,
        max_body_bytes: int,
        body_seconds: float,
        asking: dry_run.Asking,
        admission: Admission,
    ) -> None:
        self._groups, self._enqueue, self._asking = groups, enqueue, asking
        self._clock, self._new_id, self._zone = clock, new_id, zone
        self._max_body_bytes, self._body_seconds = max_body_bytes, body_seconds
        self._admission = admission

    async def on_post(self, req: Request, resp: Response) -> None:
        """Accept a group. The answer says only that it is written down; what it brings, GET tells."""
        identity = req.context.identity
        async with self._admission.turn(identity.organization_id, size_of(req)):
            sent = await sent_with(
                req,
                admission=self._admission,
                max_bytes=self._max_body_bytes,
                seconds=self._body_seconds,
            )
        if (mode := dry_run.mode_of(req)) is not None:
            resp.data = await dry_run.of_group(sent.params, identity, mode=mode, asking=self._asking)
            return
        async with req.context.budget.spend():
            group = await accept_group(
                sent.params,
                identity,
                groups=self._groups,
                enqueue=self._enqueue,
                clock=self._clock,
                new_id=self._new_id,
                request_id=req.context.request_id,
            )
            resp.data = await _shown(self._groups, group, zone=self._zone)
        resp.context.own.append(("Location", f"{PATH}/{group['_id']}"))


class GroupResource:
    """GET /api/v1/import_groups/{id}."""

    access = "token"

    def __init__(self, *, groups: GroupsStore, zone: ZoneInfo) -> None:
        self._groups, self._zone = groups, zone

    async def on_get(self, req: Request, resp: Response, group_id: str) -> None:
        """Show a group of the caller's organization; another's is not there."""
        async with req.context.budget.spend():
            group = await _own(self._groups, req, group_id)
            resp.data = await _shown(self._groups, group, zone=self._zone)

    on_head = on_get


class GroupImportsResource:
    """GET /api/v1/import_groups/{id}/imports."""

    access = "token"

    def __init__(self, *, groups: GroupsStore, zone: ZoneInfo) -> None:
        self._groups, self._zone = groups, zone

    async def on_get(self, req: Request, resp: Response, group_id: str) -> None:
        """Show some of a group's imports, in the order in which they were listed.

        Each has a place in its group for ever, so nothing is shown twice or missed however many are added.
        """
        query = rack.query(req.scope["query_string"])
        start, limit = _start(query), _limit(query)
        async with req.context.budget.spend():
            group = await _own(self._groups, req, group_id)
            found = await self._groups.children(group["_id"], start=start, limit=limit)
        following = None
        if start + limit < group["positions"]:
            chosen = f"&limit={limit}" if "limit" in query else ""
            following = f"{PATH}/{group['_id']}/imports?cursor={present_group.cursor(start + limit)}{chosen}"
        gate = req.context.identity.gate
        imports = [shown(one, zone=self._zone, gate=gate) for one in found]
        resp.data = present_group.page(imports, following=following)

    on_head = on_get


class GroupCancelResource:
    """POST /api/v1/import_groups/{id}/cancel."""

    access = "token"

    def __init__(self, *, groups: GroupsStore, clock: Callable[[], datetime], zone: ZoneInfo) -> None:
        self._groups, self._clock, self._zone = groups, clock, zone

    async def on_post(self, req: Request, resp: Response, group_id: str) -> None:
        """Cancel a group: nothing more is listed, and its open imports are ended within moments.

        What has ended stays as it is; a group that is finished, failed or canceled is shown as it is.
        """
        async with req.context.budget.spend():
            group = await _own(self._groups, req, group_id)
            if await self._is_under_way(group):
                canceled = await self._groups.cancel(group["_id"], now=self._clock())
                if canceled is None:
                    raise ConflictError("Workers move the group on too fast just now: cancel it again.")
                group = canceled
            resp.data = await _shown(self._groups, group, zone=self._zone)

    async def _is_under_way(self, group: Document) -> bool:
        if group["status"] != "expanded":
            return group["status"] not in CLOSED
        counts = await self._groups.counts(group)
        return any(counts[status] for status in OPEN)


async def _own(groups: GroupsStore, req: Request, group_id: str) -> Document:
    group = await groups.find(checked_id(group_id))
    if group is None or group["organization_id"] != req.context.identity.organization_id:
        raise NotFoundError
    return group


async def _shown(groups: GroupsStore, group: Document, *, zone: ZoneInfo) -> bytes:
    counts = await groups.counts(group)
    skipped = await groups.left_out(group) if group["fence"] > 0 else []  # nothing before the first listing
    return present_group.group(group, counts=counts, skipped=skipped, zone=zone)


def _start(query: dict[str, Any]) -> int:
    given = query.get("cursor")
    return 0 if given is None else present_group.place(given if isinstance(given, str) else "")


def _limit(query: dict[str, Any]) -> int:
    given = query.get("limit", str(PAGE))
    if (
        not isinstance(given, str)
        or not re.fullmatch(r"[0-9]{1,3}", given)
        or not 1 <= int(given) <= LARGEST_PAGE
    ):
        raise ProblemError(
            "parameter_invalid", f"limit must lie between 1 and {LARGEST_PAGE}.", pointer="#/limit"
        )
    return int(given)

"""Serve imports: ask for one, and see how far it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from falcon.asgi import Request, Response

from common.documents.database import Document
from common.documents.imports import FETCH
from common.documents.new_imports import Once
from ingest import dry_run, idempotency, present
from ingest.accept import accept
from ingest.admission import Admission
from ingest.errors import NotFoundError
from ingest.sent import Sent, sent_with, size_of

PATH = "/api/v1/imports"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ImportsStore(Protocol):
    """The door's queries on imports. Raises ConnectionFailure where MongoDB is away."""

    async def insert(self, document: Document) -> Document: ...

    async def find(self, import_id: str) -> Document | None: ...


def checked_id(text: str) -> str:
    """Return an id as it is kept. Raises NotFoundError for what cannot be one, without asking the store."""
    if not _UUID.fullmatch(text.lower()):
        raise NotFoundError
    return text.lower()


def shown(document: Document, *, zone: ZoneInfo, gate: Mapping[str, Any] | None) -> bytes:
    """Return an import with its state and its links, as JSON. `gate` is its organization's, where that is closed."""
    image_id = document["image_id"]
    links = {
        "self": f"{PATH}/{document['_id']}",
        "image": None if image_id is None else f"/api/v1/images/{image_id}",
    }
    if gate is not None and document["status"] == FETCH.before and document["waiting_for"] is None:
        # Behind a closed gate most imports are never looked at one by one, and wait for the same.
        waits = {"waiting_for": gate["waiting_for"], "expected_at": gate.get("expected_at")}
        document = {**document, **waits}
    return present.with_state(document, zone=zone, links=links)


class ImportsResource:
    """POST /api/v1/imports."""

    access = "token"

    def __init__(  # noqa: PLR0913 - all of it by keyword
        self,
        *,
        imports: ImportsStore,
        enqueue: Callable[[str, Document], None],
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        zone: ZoneInfo,
        max_body_bytes: int,
        body_seconds: float,
        asking: dry_run.Asking,
        admission: Admission,
        keys_kept: timedelta,
    ) -> None:
        self._imports, self._enqueue, self._asking = imports, enqueue, asking
        self._clock, self._new_id, self._zone = clock, new_id, zone
        self._max_body_bytes, self._body_seconds = max_body_bytes, body_seconds
        self._keys_kept, self._admission = keys_kept, admission

    async def on_post(self, req: Request, resp: Response) -> None:
        """Accept an import. The answer says only that it is written down; what becomes of it, GET tells."""
        key = idempotency.key_of(req.scope["headers"])
        async with self._admission.turn(req.context.identity.organization_id, size_of(req)):
            sent = await sent_with(
                req,
                admission=self._admission,
                max_bytes=self._max_body_bytes,
                seconds=self._body_seconds,
                digested=key is not None,
            )
            if (mode := dry_run.mode_of(req)) is None:
                await self._accept(req, resp, sent, key)
                return
        identity = req.context.identity
        resp.data = await dry_run.of_import(sent.params, identity, mode=mode, asking=self._asking)

    async def _accept(self, req: Request, resp: Response, sent: Sent, key: str | None) -> None:
        once = None if key is None else lambda now: Once(key, sent.digest, until=now + self._keys_kept)
        async with req.context.budget.spend():
            accepted = await accept(
                sent.params,
                req.context.identity,
                echo=sent.echo,
                imports=self._imports,
                enqueue=self._enqueue,
                clock=self._clock,
                new_id=self._new_id,
                request_id=req.context.request_id,
                once=once,
            )
        resp.data = present.document(accepted.document, zone=self._zone)
        resp.context.own.append(("Location", f"{PATH}/{accepted.document['_id']}"))
        if accepted.replayed:
            resp.context.own.append(("Idempotent-Replayed", "true"))


class ImportResource:
    """GET /api/v1/imports/{id}."""

    access = "token"

    def __init__(self, *, imports: ImportsStore, zone: ZoneInfo, admission: Admission) -> None:
        self._imports, self._zone, self._admission = imports, zone, admission

    async def on_get(self, req: Request, resp: Response, import_id: str) -> None:
        """Show an import of the caller's organization; another's is not there."""
        async with req.context.budget.spend():
            document = await self._imports.find(checked_id(import_id))
        if document is None or document["organization_id"] != req.context.identity.organization_id:
            raise NotFoundError
        resp.data = await self._admission.work(
            len(document["params"]),
            lambda: shown(document, zone=self._zone, gate=req.context.identity.gate),
        )

    on_head = on_get

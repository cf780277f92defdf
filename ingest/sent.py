"""Read what a POST was sent with: body and query, as one set of parameters."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from falcon.asgi import Request

from ingest import idempotency, params
from ingest.bodies import first_header, read_body
from ingest.edge import FORMAT

_IN_A_THREAD = 16 * 1024  # bytes of parameters beyond which reading them would hold up other requests


async def sent_with(
    req: Request, *, max_bytes: int, seconds: float, digested: bool = False
) -> tuple[dict[str, Any], str]:
    """Return the parameters of a POST in the order of their echo, and their digest where one is wanted.

    Raises what `bodies` and `params` raise.
    """
    body = await read_body(req, max_bytes=max_bytes, seconds=seconds)
    sent = {
        "body": body,
        "content_type": first_header(req, b"content-type"),
        "query": req.scope["query_string"],
        "format": req.scope[FORMAT],
    }
    if len(body) + len(sent["query"]) > _IN_A_THREAD:
        return await asyncio.to_thread(_read, sent, digested)
    return _read(sent, digested)


def _read(sent: Mapping[str, Any], digested: bool) -> tuple[dict[str, Any], str]:
    merged = params.merged(**sent)
    return merged, idempotency.digest(merged) if digested else ""

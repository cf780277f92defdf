"""Read what a POST was sent with: body and query, as one set of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from falcon.asgi import Request

from ingest import idempotency, params
from ingest.admission import Admission
from ingest.bodies import announced_length, first_header, read_body
from ingest.edge import FORMAT


@dataclass(frozen=True, slots=True)
class Sent:
    """The parameters of a POST in the order of their echo, the echo as it is kept, and their digest where wanted."""

    params: dict[str, Any]
    echo: str
    digest: str


def size_of(req: Request) -> int:
    """Return how many bytes of parameters a POST announces."""
    return announced_length(req) + len(req.scope["query_string"])


async def sent_with(
    req: Request, *, admission: Admission, max_bytes: int, seconds: float, digested: bool = False
) -> Sent:
    """Read what a POST was sent with. Raises what `bodies` and `params` raise."""
    body = await read_body(req, max_bytes=max_bytes, seconds=seconds)
    sent = {
        "body": body,
        "content_type": first_header(req, b"content-type"),
        "query": req.scope["query_string"],
        "format": req.scope[FORMAT],
    }
    return await admission.work(size_of(req), lambda: _read(sent, digested))


def _read(sent: Mapping[str, Any], digested: bool) -> Sent:
    merged = params.merged(**sent)
    return Sent(merged, params.frozen(merged), idempotency.digest(merged) if digested else "")

"""Give every answer, errors included, its headers, its compression and its one log line.

Resources say what they answer in `resp.context`: `own` are headers that come on top of the common ones or in
their place, `file` marks an original or a thumbnail, whose headers are a set of their own.
"""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable
from typing import Any

import structlog
from falcon.asgi import Request, Response

from ingest import headers
from ingest.auth import Authenticator
from ingest.bodies import first_header, judge_framing
from ingest.budget import Budget
from ingest.traffic import Traffic

LONG_ANSWER = 256 * 1024  # bytes: longer than any page; only the echo of a large body is
PROBES = ("/livez", "/readyz", "/metrics")

log = structlog.get_logger(__name__)


class Envelope:
    """Falcon middleware: the first to see a request and the last to see its answer."""

    def __init__(self, *, authenticator: Authenticator, new_id: Callable[[], str], traffic: Traffic) -> None:
        self._authenticator, self._new_id, self._traffic = authenticator, new_id, traffic

    async def process_request(self, req: Request, resp: Response) -> None:
        """Begin: name the request, start its clock, and refuse what frames its body ambiguously."""
        req.context.begun = time.perf_counter()
        req.context.request_id = headers.request_id(first_header(req, b"x-request-id"), self._new_id)
        req.context.identity = None
        req.context.budget = Budget()
        resp.context.own, resp.context.file, resp.context.code = [], None, None
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=req.context.request_id)
        judge_framing(req)

    async def process_response(
        self,
        req: Request,
        resp: Response,
        resource: Any,  # noqa: ARG002 - the framework's signature
        req_succeeded: bool,  # noqa: ARG002 - the framework's signature
    ) -> None:
        """End: headers in the original's order, gzip where it is taken, one log line."""
        seconds = time.perf_counter() - req.context.begun
        for name, value in self._headers(req, resp, seconds):
            resp.set_header(name, value)
        for name, value in resp.context.own:
            resp.set_header(name, value)
        if resp.data and takes_gzip(req):
            resp.data = gzipped(resp.data)
            resp.set_header("Content-Encoding", "gzip")
        route = req.uri_template or "none"  # the template, never the path: an id is data
        self._traffic.saw(req.method, route, resp.status_code, seconds)
        identity = req.context.identity
        # Probes come every few seconds for ever; they are worth a line where something is wrong.
        say = log.debug if route in PROBES and resp.status_code < 400 else log.info
        say(
            "request",
            method=req.method,
            route=route,
            status=resp.status_code,
            duration_ms=round(seconds * 1000, 1),
            **({"code": resp.context.code} if resp.context.code else {}),
            **({"organization_id": identity.organization_id} if identity else {}),
        )

    def _headers(self, req: Request, resp: Response, seconds: float) -> list[tuple[str, str]]:
        made = {"request_id": req.context.request_id, "runtime": headers.runtime(seconds)}
        if resp.context.file is not None:
            return headers.file(**made, **resp.context.file)
        identity = req.context.identity
        succeeded = identity is not None and resp.status_code < 300
        return headers.answer(**made, token=self._authenticator.renewed(identity) if succeeded else None)


def gzipped(body: bytes) -> bytes:
    """Compress an answer; one that is long with less care, which takes a quarter of the time."""
    if len(body) <= LONG_ANSWER:
        return gzip.compress(body, 6, mtime=0)
    writer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS, strategy=zlib.Z_HUFFMAN_ONLY)
    return writer.compress(body) + writer.flush()


def takes_gzip(req: Request) -> bool:
    """Tell whether the caller takes gzip: named, or covered by `*`, and not with a quality of zero."""
    qualities: dict[str, float] = {}
    for piece in (first_header(req, b"accept-encoding") or "").lower().split(","):
        coding, _, parameter = piece.partition(";")
        name, _, value = parameter.strip().partition("=")
        try:
            qualities[coding.strip()] = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            qualities[coding.strip()] = 0.0
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0

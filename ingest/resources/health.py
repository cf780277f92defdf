"""Tell a supervisor whether this process lives, and a load balancer whether to send it requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from falcon.asgi import Request, Response

from ingest import present
from ingest.observed import Observed


class LiveResource:
    """GET /livez: asks nobody, so that an outage of a store never gets healthy processes killed."""

    access = "public"

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Answer."""
        resp.data = present.json_bytes({"status": "ok"})

    on_head = on_get


class ReadyResource:
    """GET /readyz: 503 while MongoDB cannot be reached or this process is stopping.

    Redis being away is told and changes nothing: imports are accepted all the same.
    """

    access = "public"

    def __init__(self, *, observed: Observed, stopping: Callable[[], bool]) -> None:
        self._observed, self._stopping = observed, stopping

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Answer."""
        mongodb, redis = await asyncio.gather(self._observed.mongodb_up(), self._observed.redis_up())
        ready = mongodb and not self._stopping()
        said = {
            "status": "ok" if ready else "stopping" if self._stopping() else "unavailable",
            "mongodb": "up" if mongodb else "down",
            "redis": "up" if redis else "down",
        }
        if not ready:
            resp.status = "503 Service Unavailable"
            resp.context.own.append(("Retry-After", "2"))
        resp.data = present.json_bytes(said)

    on_head = on_get

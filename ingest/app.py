"""Put the door together: the routes in one table, around them what every request passes, in this order:

    server.py ─ edge.py ─ envelope.py ─ access.py ─ resources/*  ─ envelope.py (headers, gzip, one log line)
                                             └──── problems.py (every exception) ────┘

This opens nothing and reads nothing; all of it is handed in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import falcon
import falcon.asgi
import redis

from common.blobs.reading import BlobReader
from common.documents.database import Document
from common.queue.questions import Questions
from ingest import problems
from ingest.access import Access
from ingest.admission import Admission
from ingest.auth import Authenticator
from ingest.dry_run import WAIT_SECONDS, Asking
from ingest.edge import Edge
from ingest.envelope import Envelope
from ingest.failed_logins import FailedLogins
from ingest.observed import Counts, Observed
from ingest.operator_sessions import OperatorSessions
from ingest.resources.dashboard import DashboardResource, DashboardThumbnailResource, Latest
from ingest.resources.documentation import DocsResource, OpenApiResource, StyleResource
from ingest.resources.groups import (
    GroupCancelResource,
    GroupImportsResource,
    GroupResource,
    GroupsResource,
    GroupsStore,
)
from ingest.resources.health import LiveResource, ReadyResource
from ingest.resources.images import ImageResource, ImagesStore, OriginalResource, ThumbnailResource
from ingest.resources.imports import ImportResource, ImportsResource, ImportsStore
from ingest.resources.log_in import LogInResource
from ingest.resources.metrics import MetricsResource
from ingest.traffic import Traffic


class Overview(Latest, Counts, Protocol):
    """Both looks at many imports: the latest, and how many are in each state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What the door reads and writes. `redis` is only looked at; `enqueue` never waits and never fails."""

    imports: ImportsStore
    groups: GroupsStore
    images: ImagesStore
    overview: Overview
    blobs: BlobReader
    redis: redis.Redis
    ping_mongodb: Callable[[], Awaitable[Any]]
    enqueue: Callable[[str, Document], None]
    questions: Questions


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may take: bytes of body, seconds to send it, seconds that a dry run waits for workers; and
    how many requests, and of these how many with large bodies, one organization may have in flight; and how many
    bad tokens and passwords of a minute, of one address and of all, are not yet answered 429 (0: any)."""

    body_bytes: int
    body_seconds: float
    organization_requests: int = 256
    organization_large_requests: int = 1
    failed_logins_per_peer: int = 0
    failed_logins: int = 0
    dry_run_seconds: float = WAIT_SECONDS


def create_app(  # noqa: PLR0913 - all of it by keyword
    *,
    stores: Stores,
    authenticator: Authenticator,
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
    zone: ZoneInfo,
    limits: Limits,
    keys_kept: timedelta,
    operator_password: str | None,
    asking_threads: Executor,
    stopping: Callable[[], bool] = lambda: False,
) -> Edge:
    """Return the ASGI application.

    `clock` is the stores' time; `keys_kept` is how long a request is known by its Idempotency-Key;
    `operator_password` None serves nothing of the operator's;
    `asking_threads` wait for Redis in the place of dry runs; `stopping` turns readiness off.
    """
    traffic = Traffic()
    observed = Observed(
        client=stores.redis,
        ping_mongodb=stores.ping_mongodb,
        counts=stores.overview,
        clock=clock,
    )
    admission = Admission(
        requests=limits.organization_requests,
        large=limits.organization_large_requests,
        seconds=limits.body_seconds,
    )
    failed_logins = FailedLogins(per_peer=limits.failed_logins_per_peer, of_all=limits.failed_logins)
    sessions = None if operator_password is None else OperatorSessions(operator_password, clock=clock)
    middleware: list[Any] = [
        Envelope(authenticator=authenticator, new_id=new_id, traffic=traffic),
        Access(
            authenticator=authenticator,
            sessions=sessions,
            admission=admission,
            failed_logins=failed_logins,
        ),
    ]
    app: Any = falcon.asgi.App(middleware=middleware)
    problems.install(app)
    images, blobs = stores.images, stores.blobs
    groups = stores.groups
    posts: dict[str, Any] = {
        "enqueue": stores.enqueue,
        "clock": clock,
        "new_id": new_id,
        "zone": zone,
        "max_body_bytes": limits.body_bytes,
        "body_seconds": limits.body_seconds,
        "admission": admission,
        "asking": Asking(
            stores.questions, threads=asking_threads, new_id=new_id, seconds=limits.dry_run_seconds
        ),
    }
    routes: tuple[tuple[str, object], ...] = (
        ("/api/v1/imports", ImportsResource(imports=stores.imports, keys_kept=keys_kept, **posts)),
        (
            "/api/v1/imports/{import_id}",
            ImportResource(imports=stores.imports, zone=zone, admission=admission),
        ),
        ("/api/v1/import_groups", GroupsResource(groups=groups, **posts)),
        ("/api/v1/import_groups/{group_id}", GroupResource(groups=groups, zone=zone)),
        ("/api/v1/import_groups/{group_id}/imports", GroupImportsResource(groups=groups, zone=zone)),
        (
            "/api/v1/import_groups/{group_id}/cancel",
            GroupCancelResource(groups=groups, clock=clock, zone=zone),
        ),
        ("/api/v1/images/{image_id}", ImageResource(images=images, zone=zone)),
        ("/api/v1/images/{image_id}/original", OriginalResource(images=images, blobs=blobs)),
        ("/api/v1/images/{image_id}/thumbnails/{name}", ThumbnailResource(images=images, blobs=blobs)),
        ("/livez", LiveResource()),
        ("/readyz", ReadyResource(observed=observed, stopping=stopping)),
        ("/openapi.json", OpenApiResource()),
        ("/docs", DocsResource()),
        ("/style.css", StyleResource()),
    )
    if sessions is not None:
        log_in = LogInResource(
            sessions=sessions, failed_logins=failed_logins, body_seconds=limits.body_seconds
        )
        routes += (
            ("/metrics", MetricsResource(observed=observed, traffic=traffic)),
            ("/dashboard", DashboardResource(observed=observed, overview=stores.overview, clock=clock)),
            ("/dashboard/login", log_in),
            ("/dashboard/images/{image_id}/{name}", DashboardThumbnailResource(images=images, blobs=blobs)),
        )
    for path, resource in routes:
        app.add_route(path, resource)
    return Edge(app)

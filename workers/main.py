"""Start a worker process: `dramatiq workers.main:start --queues fetch …` calls `start` in each of them.

Everything is opened here and handed on. Nothing waits for a store to be there: what needs one tries again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import dramatiq
from dramatiq import Middleware

from common.blobs import open_blobs
from common.documents import safety as documents_safety
from common.documents.clock import StoreClock
from common.documents.database import connect, database
from common.documents.groups import Groups
from common.documents.images import Images
from common.documents.imports import Imports
from common.documents.organizations import Organizations
from common.documents.rerenders import Rerenders
from common.queue import presence
from common.queue import safety as queue_safety
from common.queue.broker import consumer, door_client, producer, worker_client
from common.queue.depth import depth_of
from common.queue.dispatch import Dispatcher, NoDispatcher, Requests
from common.queue.jobs import QUEUES, AnswerDryRun, ExpandGroup, FetchAttachment, RenderThumbnails
from common.queue.questions import Questions
from common.settings import Settings, SettingsError
from common.telemetry import log as logs
from common.telemetry.checks import StoresLook
from workers.actors import register
from workers.beat import Beat
from workers.credentials import Credentials
from workers.decoding import lockdown
from workers.decoding.client import Decoder
from workers.departure import gone_within
from workers.dry_runs import DryRuns
from workers.gates import Gates
from workers.imaging.limits import Limits
from workers.lanes import RedisLanes
from workers.leases import Leases
from workers.orphans import ParentWatch
from workers.pipeline import Pipeline
from workers.quota import Allowances, rule_of
from workers.recipes import usual_recipe
from workers.rerendering import Renewals, Rerendering
from workers.shared_sessions import RedisSession
from workers.sources import Sources
from workers.sources.surroundings import Surroundings
from workers.work import expanding, fetching, rendering, sifting

ORGANIZATION_SECONDS = 1.0  # so long a worker may go by an organization as it was
REPORT_SECONDS = 0.5  # in which a process that has come up has certainly told its master
GIVE_BACK_SECONDS = 2.5  # for claims to be given back when their time is over; then nobody is waited for
RERENDER_END_SECONDS = 3.0  # an interrupted rendering is given back within a blink


class Shifts(Middleware):
    """Begin and end what a worker needs around its threads."""

    def __init__(self, *, leases: Leases, decoder: Decoder, grace_seconds: float) -> None:
        self.leases, self.decoder, self.grace_seconds = leases, decoder, grace_seconds
        self.beat: Beat | None = None
        self.rerendering: Rerendering | None = None
        self.rerender_leases: Leases | None = None
        self._on_duty = threading.Event()

    def once_on_duty(self, answer: Callable[..., None]) -> Callable[..., None]:
        """Return what answers a message, held back until the master knows that this process has come up.

        A process that dies while it reports for duty, by a picture that kills it say, leaves dramatiq's master
        waiting for that report for ever, and nobody would start another worker.
        """

        def answered(*named: str) -> None:
            self._on_duty.wait()
            answer(*named)

        return answered

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """Start the threads that keep claims, and the decoder where this process renders."""
        if "render" in (worker.consumer_whitelist or QUEUES):
            self.decoder.start()
            if self.rerendering is not None and self.rerender_leases is not None:
                self.rerender_leases.start()
                self.rerendering.start()
        self.leases.start()
        if self.beat is not None:
            self.beat.start()

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """Let work begin a moment after the report, which dramatiq makes right after this."""
        report = threading.Timer(REPORT_SECONDS, self._on_duty.set)
        report.daemon = True
        report.start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """Let work in hand end by itself for a while, then have it given back, then be gone in any case."""
        gone_within(self.grace_seconds + GIVE_BACK_SECONDS)
        timer = threading.Timer(self.grace_seconds, self.leases.interrupt)
        timer.daemon = True
        timer.start()
        if self.beat is not None:
            self.beat.stop()
        if self.rerendering is not None and self.rerender_leases is not None:
            self.rerendering.stop()
            self.rerender_leases.interrupt()  # nobody waits for it, so it is given back at once

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002
        """End the threads and the decoding processes."""
        self.leases.stop()
        if self.rerendering is not None and self.rerender_leases is not None:
            self.rerendering.join(RERENDER_END_SECONDS)
            self.rerender_leases.stop()
        self.decoder.stop()


def start() -> None:
    """Build this worker process and hand its broker to dramatiq."""
    parent = ParentWatch()
    lockdown.hide_memory()
    parent.start()  # before anything that takes time: a master can be killed while its workers are starting
    process = process_name(sys.argv)
    try:
        settings = Settings.load(os.environ, process=process)
        recipe = usual_recipe(settings.thumbnails)
    except (SettingsError, ValueError) as mistakes:
        sys.stderr.write(f"{mistakes}\n")
        raise SystemExit(2) from None
    logs.configure(level=settings.log_level, format=settings.log_format, process=process)
    settings.spool_dir.mkdir(parents=True, exist_ok=True)

    mongodb = connect(settings.mongodb_url)
    db = database(mongodb)
    clock = StoreClock()
    imports, groups, organizations = Imports(db), Groups(db), Organizations(db, remember=ORGANIZATION_SECONDS)
    # Dispatches and tallies are hints: they use a client that gives up at once, and never hold a job.
    hints = door_client(settings.redis_url)
    asking = producer(hints)
    requests = Requests(
        per_organization=settings.doorbells_per_organization,
        renders_per_organization=settings.renders_per_organization,
        now=lambda: clock().timestamp(),
    )
    leases = Leases(clock=clock, lease=settings.lease_seconds, every=settings.lease_renew_seconds)
    decoder = Decoder(
        limits=Limits(
            pixels=settings.max_pixels,
            seconds=settings.render_seconds,
            memory_bytes=settings.render_memory_bytes,
            accept_truncated=settings.accept_truncated,
        ),
        recipe=recipe,
        reuse=settings.render_reuse,
    )
    shifts = Shifts(leases=leases, decoder=decoder, grace_seconds=settings.shutdown_seconds)
    broker = consumer(worker_client(settings.redis_url), [shifts])
    blobs = open_blobs(settings.blobs_url, mongodb_url=settings.mongodb_url)
    allowances = Allowances(
        hints,
        rule_of(settings.salesforce_reserve_percent, settings.salesforce_floor_percent),
        now=lambda: clock().timestamp(),
    )
    credentials = Credentials(settings.credentials_keys)

    def around(organization: Mapping[str, Any]) -> Surroundings:
        organization_id, version = str(organization["_id"]), organization.get("credential_version", 0)
        return Surroundings(
            session=RedisSession(hints, credentials, organization_id, version=version),
            quota=allowances.of(organization_id),
            lanes=RedisLanes(hints, organization_id, places=settings.salesforce_concurrent_calls),
        )

    sources = Sources(
        credentials=credentials,
        api_version=settings.salesforce_api_version,
        ca_file=settings.salesforce_ca_file,
        around=around,
    )
    name = presence.name_of(process)
    gates = Gates(organizations, clock=clock, allowances=allowances)
    sifts = sifting(max_bytes=settings.max_original_bytes, logo_bytes=settings.signature_logo_bytes)
    shared: dict[str, Any] = dict(  # noqa: C408 - reads as the arguments that it becomes
        groups=groups,
        images=Images(db),
        organizations=organizations,
        gates=gates,
        fetch=fetching(
            sources=sources,
            blobs=blobs,
            spool_dir=settings.spool_dir,
            max_bytes=settings.max_original_bytes,
            seconds=settings.blob_seconds,
        ),
        render=rendering(
            decoder=decoder,
            blobs=blobs,
            spool_dir=settings.spool_dir,
            recipe=recipe,
            gps_policy=settings.gps_policy,
        ),
        expand=expanding(
            sources=sources,
            blobs=blobs,
            imports=imports,
            groups=groups,
            clock=clock,
            sifting=sifts,
            seconds=settings.blob_seconds,
        ),
        clock=clock,
        owner=name,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
        # A server without retryable writes may be one that looks at all documents for it (docs/decisions/0004).
        claims_unread=mongodb.options.retry_writes,
    )

    dispatcher = Dispatcher(hints, requests, message=broker)
    pipeline = Pipeline(imports=imports, dispatcher=dispatcher, leases=leases, **shared)
    rerenders = Rerenders(db)
    shifts.rerender_leases = Leases(
        clock=clock, lease=settings.lease_seconds, every=settings.lease_renew_seconds
    )
    renewals = Renewals(imports=rerenders, dispatcher=NoDispatcher(), leases=shifts.rerender_leases, **shared)
    shifts.rerendering = Rerendering(
        rerenders=rerenders,
        run=renewals.run,
        empty=lambda: depth_of(hints, "render", now=clock().timestamp()).depth == 0,
        clock=clock,
        max_deliveries=settings.max_deliveries,
    )
    shifts.beat = Beat(name, redis_client=hints, mongodb=mongodb, clock=clock)
    dry_runs = DryRuns(
        questions=Questions(hints, asking),
        organizations=organizations,
        imports=imports,
        gates=gates,
        source_of=sources.of,
        sifting=sifts,
        max_bytes=settings.max_original_bytes,
    )
    register(
        broker,
        answering={
            FetchAttachment: shifts.once_on_duty(partial(pipeline.run, "fetch")),
            RenderThumbnails: shifts.once_on_duty(partial(pipeline.run, "render")),
            ExpandGroup: shifts.once_on_duty(partial(pipeline.run, "expand")),
            AnswerDryRun: shifts.once_on_duty(dry_runs.answer),
        },
    )
    parent.interrupt = leases.interrupt
    looking = StoresLook(
        lambda: documents_safety.look(settings.mongodb_url),
        lambda: queue_safety.look(hints),
        strict=settings.strict_stores,
        end=_end_all,
    )
    if not looking.start():
        raise SystemExit(2)
    dramatiq.set_broker(broker)


def _end_all() -> None:
    """End this worker in good order; dramatiq's master then ends the others and itself."""
    os.kill(os.getpid(), signal.SIGTERM)


def process_name(arguments: list[str]) -> str:
    """Return what this process is called, as the Procfile does: by the queue that it serves."""
    if "--queues" not in arguments:
        return "+".join(QUEUES)
    after = arguments[arguments.index("--queues") + 1 :]
    return "+".join(name for name in after[: len(QUEUES)] if name in QUEUES) or "worker"

"""Run the sweeper: `python -m workers.sweeper`. Any number of them, on any machines."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import structlog
from pymongo.errors import PyMongoError

from common.blobs import BlobsUnavailableError, open_blobs
from common.documents import safety as documents_safety
from common.documents.clock import StoreClock
from common.documents.database import connect, database
from common.documents.groups import Groups
from common.documents.imports import Imports
from common.documents.organizations import Organizations
from common.queue import presence, tallies
from common.queue import safety as queue_safety
from common.queue.broker import door_client, recover, recoverer
from common.queue.dispatch import Dispatcher, Requests
from common.settings import Settings, SettingsError
from common.telemetry import log as logs
from common.telemetry.checks import StoresLook
from workers.beat import Beat
from workers.cancellations import Cancellations
from workers.departure import gone_within
from workers.gates import Gates
from workers.quota import Allowances, rule_of
from workers.sweep import BATCH, Sweeper

log = structlog.get_logger(__name__)

STOP_SECONDS = 8.0  # in which a look that has begun ends; every step of it may be cut off, as by a kill
TIDY_SECONDS = 60.0
STALE_SECONDS = 300.0  # what a killed process staged and nobody has touched for so long


def main() -> int:
    """Sweep until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = Settings.load(os.environ, process="sweeper")
    except SettingsError as mistakes:
        sys.stderr.write(f"{mistakes}\n")
        return 2
    logs.configure(level=settings.log_level, format=settings.log_format, process="sweeper")
    stopping = threading.Event()

    def stop(*_: object) -> None:
        gone_within(STOP_SECONDS)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    mongodb = connect(settings.mongodb_url)
    db = database(mongodb)
    # A look that fails is repeated in two seconds, so this client gives up at once.
    client = door_client(settings.redis_url)
    broker = recoverer(client)
    clock = StoreClock()
    imports, groups, organizations = Imports(db), Groups(db), Organizations(db)
    requests = Requests(
        per_organization=settings.doorbells_per_organization,
        renders_per_organization=settings.renders_per_organization,
        now=lambda: clock().timestamp(),
    )
    dispatcher = Dispatcher(client, requests)
    cancellations = Cancellations(imports=imports, groups=groups, dispatcher=dispatcher, clock=clock)
    blobs = open_blobs(settings.blobs_url, mongodb_url=settings.mongodb_url)
    sweeper = Sweeper(
        ledgers=(imports, groups),
        organizations=organizations,
        dispatcher=dispatcher,
        gates=Gates(
            organizations,
            clock=clock,
            allowances=Allowances(
                client,
                rule_of(settings.salesforce_reserve_percent, settings.salesforce_floor_percent),
                now=lambda: clock().timestamp(),
            ),
        ),
        redis_client=client,
        recover=lambda: recover(broker),
        count=lambda reason, amount: tallies.count(client, "swept", amount, reason=reason),
        clock=clock,
        max_deliveries=settings.max_deliveries,
        deadline=timedelta(seconds=settings.import_deadline_seconds),
        lease=timedelta(seconds=settings.lease_seconds),
    )
    beat = Beat(presence.name_of("sweeper"), redis_client=client, mongodb=mongodb, clock=clock)
    looking = StoresLook(
        lambda: documents_safety.look(settings.mongodb_url),
        lambda: queue_safety.look(client),
        strict=settings.strict_stores,
        end=stopping.set,
    )
    if not looking.start():
        return 2
    beat.start()
    log.info("sweeping", every_s=settings.sweep_seconds)
    tidied, forgetting = 0.0, True
    while not stopping.is_set():
        began = time.monotonic()
        more = sweeper.tick()
        with _surviving("cancellations"):
            more = cancellations.tick() or more
        if time.monotonic() - tidied > TIDY_SECONDS:
            tidied, forgetting = time.monotonic(), True
            with _surviving("tidying"), contextlib.suppress(BlobsUnavailableError):
                blobs.tidy(STALE_SECONDS)
        if forgetting:
            with _surviving("forgetting keys"), contextlib.suppress(PyMongoError):
                # A full batch means that more of them wait: the next look goes on.
                forgetting = imports.forget_keys(now=clock(), limit=BATCH) == BATCH
        # A backlog is swept in one batch after the other, and between two of them the stores are left to the
        # workers for as long as a batch has taken.
        took = time.monotonic() - began
        stopping.wait(min(took, settings.sweep_seconds) if more else settings.sweep_seconds)
    beat.stop()
    looking.stop()
    blobs.close()
    return 2 if looking.refused else 0


@contextlib.contextmanager
def _surviving(part: str) -> Iterator[None]:
    """Tell of what nobody foresaw and go on: ended by it, the sweeper would do none of its other parts."""
    try:
        yield
    except Exception:
        log.exception("part of a look failed", part=part)


if __name__ == "__main__":
    raise SystemExit(main())

"""Start the web process: read the settings once, open the stores, listen, and stop in good order.

Nothing here waits for a store: the process starts, and says that it is not ready, while MongoDB is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta
from types import FrameType

import structlog
import uvicorn
import uvloop
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from redis import Redis
from redis.exceptions import RedisError

from common.blobs.reading import BlobReader, open_reader
from common.documents import safety
from common.documents.clock import MEASURE_SECONDS, StoreClock
from common.documents.database import Document, connect_door, door_database
from common.documents.groups import GroupsAtDoor
from common.documents.images import ImagesAtDoor
from common.documents.imports_at_door import ImportsAtDoor
from common.documents.overview import OverviewAtDoor
from common.documents.users import UsersAtDoor
from common.queue import presence
from common.queue import safety as queue_safety
from common.queue.broker import async_door_client, door_client, producer
from common.queue.dispatch import AsyncDispatcher, Requests
from common.queue.questions import Questions
from common.settings import Settings, SettingsError
from common.telemetry.checks import StoresLook
from common.telemetry.log import configure
from ingest import dry_run
from ingest.app import Limits, Stores, create_app
from ingest.auth import Authenticator
from ingest.background_dispatch import BackgroundDispatcher
from ingest.edge import Edge
from ingest.server import Bounds, protocol

STOP_SECONDS = 7.0  # for requests in hand; whoever stops us counts to ten
CLOSE_SECONDS = 0.5  # for the driver's goodbye, which to a silent MongoDB would take up to ten
BEAT_SECONDS = 5.0
MOST_CONNECTIONS = 4_000
KEEP_ALIVE_SECONDS = 15
RECEIVE_BYTES = 64 * 2**10
# While a thread takes a large body apart, the loop gets the interpreter back after this; by default it would wait
# ten times as long, for each of the several times that a small request needs it.
SWITCH_SECONDS = 0.0005

log = structlog.get_logger(__name__)


class DoorServer(uvicorn.Server):
    """uvicorn's server, whose readiness ends with the signal and not with the last request."""

    stopping = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        self.stopping = True
        super().handle_exit(sig, frame)


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Serve until told to stop. Returns the exit code: 0, or 2 where it could not start."""
    try:
        settings = Settings.load(environ, process="web")
    except SettingsError as mistakes:
        print(mistakes, file=sys.stderr)  # noqa: T201 - there are no log settings yet
        return 2
    sys.setswitchinterval(SWITCH_SECONDS)
    configure(level=settings.log_level, format=settings.log_format, process="web")
    try:
        listener = listen(settings.host, settings.port)
    except OSError as error:
        print(  # noqa: T201 - for the person who started it
            f"Cannot listen on {settings.host}:{settings.port} ({error.strerror or error}). "
            "Set HOST and PORT to a free address of this machine.",
            file=sys.stderr,
        )
        return 2
    with (
        _signals_as_seen(),
        listener,
        ThreadPoolExecutor(dry_run.THREADS, thread_name_prefix="dry-run") as asking_threads,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_serve(settings, listener, asking_threads))


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError where the address is taken or not ours."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.create_server(address[:2], family=family, backlog=2_048)
    # Connections take this over: what a stranger sends and nobody reads yet is held twice, here and by us.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    return listener


def create(  # noqa: PLR0913 - all of it by keyword
    settings: Settings,
    *,
    mongodb: AsyncMongoClient[Document],
    redis: Redis,
    blobs: BlobReader,
    dispatcher: BackgroundDispatcher,
    clock: StoreClock,
    asking_threads: Executor,
    stopping: Callable[[], bool],
) -> Edge:
    """Return the application on opened stores."""
    db = door_database(mongodb)
    users = UsersAtDoor(db)
    return create_app(
        stores=Stores(
            imports=ImportsAtDoor(db),
            groups=GroupsAtDoor(db),
            images=ImagesAtDoor(db),
            overview=OverviewAtDoor(db),
            blobs=blobs,
            redis=redis,
            ping_mongodb=lambda: mongodb.admin.command("ping"),
            enqueue=dispatcher.enqueue,
            questions=Questions(redis, producer(redis)),
        ),
        authenticator=Authenticator(
            find_user=users.find,
            secrets=settings.token_secrets,
            clock=time.time,
            require_expiry=settings.token_require_expiry,
        ),
        clock=clock,
        new_id=new_id,
        zone=settings.time_zone,
        limits=Limits(
            body_bytes=settings.max_body_bytes,
            body_seconds=settings.body_seconds,
            organization_requests=settings.organization_requests,
            organization_large_requests=settings.organization_large_requests,
            failed_logins_per_peer=settings.failed_logins_per_peer,
            failed_logins=settings.failed_logins,
        ),
        keys_kept=timedelta(seconds=settings.idempotency_seconds),
        operator_password=settings.operator_password,
        asking_threads=asking_threads,
        stopping=stopping,
    )


def new_id() -> str:
    """Return a UUID of version 4, as `uuid.uuid4` does in three times the time: each POST needs two."""
    made = os.urandom(16).hex()
    return f"{made[:8]}-{made[8:12]}-4{made[13:16]}-{'89ab'[int(made[16], 16) & 3]}{made[17:20]}-{made[20:]}"


async def _serve(settings: Settings, listener: socket.socket, asking_threads: Executor) -> int:
    mongodb, redis = connect_door(settings.mongodb_url), door_client(settings.redis_url)
    blobs = open_reader(settings.blobs_url, mongodb_url=settings.mongodb_url)
    clock = StoreClock()
    requests = Requests(
        per_organization=settings.doorbells_per_organization,
        renders_per_organization=settings.renders_per_organization,
        now=lambda: clock().timestamp(),
    )
    dispatching = async_door_client(settings.redis_url)
    dispatcher = BackgroundDispatcher(AsyncDispatcher(dispatching, requests))
    server: DoorServer

    app = create(
        settings,
        mongodb=mongodb,
        redis=redis,
        blobs=blobs,
        dispatcher=dispatcher,
        clock=clock,
        asking_threads=asking_threads,
        stopping=lambda: server.stopping,
    )
    server = DoorServer(_config(app, settings))
    looking = StoresLook(
        lambda: safety.look(settings.mongodb_url),
        lambda: queue_safety.look(redis),
        strict=settings.strict_stores,
        end=lambda: os.kill(os.getpid(), signal.SIGTERM),
    )
    if not await asyncio.to_thread(looking.start):
        return 2
    beside = [asyncio.create_task(_measure(mongodb, clock)), asyncio.create_task(_beat(redis))]
    if settings.operator_password is None:
        log.warning(
            "dashboard and metrics are not served",
            reason="OPERATOR_PASSWORD is not set",
            advice="make one with `openssl rand -base64 18`",
        )
    log.info("listening", host=settings.host, port=listener.getsockname()[1])
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await dispatcher.stop()
        await dispatching.aclose()
        with contextlib.suppress(RedisError):
            await asyncio.to_thread(presence.leave, redis, presence.name_of("web"))
        await blobs.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(mongodb.close(), CLOSE_SECONDS)
        redis.close()
        looking.stop()
        log.info("stopped")
    return 2 if looking.refused else 0


def _config(app: Edge, settings: Settings) -> uvicorn.Config:
    bounds = Bounds(
        header_seconds=settings.header_seconds,
        drain_seconds=settings.body_seconds,
        connections=_connections(),
        connections_per_peer=settings.connections_per_peer,
    )
    return uvicorn.Config(
        app,
        http=protocol(bounds),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # it warns of each odd request; what we answer, we tell ourselves
        access_log=False,
        proxy_headers=False,  # whoever connects is the peer, whatever a header says
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(STOP_SECONDS),
    )


def _connections() -> int:
    """Return how many connections to hold: what the open files allow, less those for stores and pictures."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + 256
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return max(64, min(MOST_CONNECTIONS, soft - 256))


async def _measure(mongodb: AsyncMongoClient[Document], clock: StoreClock) -> None:
    """Keep the clock on the store's time; where MongoDB is away it goes on from what it knew."""
    while True:
        try:
            hello = mongodb.admin.command
            clock.learn([clock.look(await hello("hello"), sent=sent) for sent in clock.moments()])
            await asyncio.sleep(MEASURE_SECONDS)
        except PyMongoError:
            await asyncio.sleep(1.0)


async def _beat(redis: Redis) -> None:
    """Be heard of; nobody is missed by us while Redis is away."""
    name = presence.name_of("web")
    while True:
        with contextlib.suppress(RedisError):
            await asyncio.to_thread(presence.beat, redis, name)
        await asyncio.sleep(BEAT_SECONDS)


@contextlib.contextmanager
def _signals_as_seen() -> Iterator[None]:
    """Let the process end with 0: uvicorn raises the signal it stopped for once more when it is done."""
    before = {
        one: signal.signal(one, lambda _signal, _frame: None) for one in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


if __name__ == "__main__":
    sys.exit(main())

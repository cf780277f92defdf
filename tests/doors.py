"""Build doors for tests: the whole application on stores in memory, and a caller that sends exactly what it is told."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

import fakeredis

from common import tokens
from common.blobs.seam import BlobMissingError
from common.documents.statuses import STATUSES
from common.documents.users import User
from common.queue.broker import producer
from common.queue.questions import Questions
from ingest.app import Limits, Stores, create_app
from ingest.auth import Authenticator
from ingest.dry_run import THREADS
from ingest.edge import Edge

SECRET = "a test's own secret of more than thirty-two bytes"
USER_ID = "f76cd9d7-859d-4d3b-b65e-d4817dc96f58"
ORGANIZATION_ID = "91e4e020-bd76-4615-baf0-63263c5f3416"
OTHER_USER_ID = "0d6c3d54-6c8f-4d6e-9a0e-2c3f0a4b5c6d"
OTHER_ORGANIZATION_ID = "7a0c8f6e-1b2d-4c3e-8f9a-0b1c2d3e4f5a"
NOW = datetime(2019, 4, 8, 17, 38, 57, 787_000, tzinfo=UTC)
FORM = ("Content-Type", "application/x-www-form-urlencoded")

OPERATOR_PASSWORD = "päss:word of an operator"
OPERATOR = [("Authorization", f"Basic {base64.b64encode(f'operator:{OPERATOR_PASSWORD}'.encode()).decode()}")]


class Kept:
    """Documents by id. `error` is raised by every question, as by a store that is away."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.documents = {one["_id"]: one for one in documents}
        self.error: Exception | None = None
        self.delay = 0.0

    async def _ask(self) -> None:
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error

    async def insert(self, document: dict[str, Any]) -> dict[str, Any]:
        await self._ask()
        key = document.get("idempotency_key")
        for earlier in self.documents.values():
            if key is not None and earlier.get("idempotency_key") == key:
                return earlier
        self.documents[document["_id"]] = document
        return document

    async def find(self, id_: str) -> dict[str, Any] | None:
        await self._ask()
        return self.documents.get(id_)

    async def find_file(self, id_: str) -> dict[str, Any] | None:
        return await self.find(id_)

    async def latest(self, *, limit: int, now: datetime) -> list[dict[str, Any]]:
        await self._ask()
        return list(self.documents.values())[:limit]

    async def closed_gates(self) -> dict[str, str]:
        return {"org": "salesforce_quota"}

    async def counts(self, statuses: Iterable[str], *, limit: int) -> dict[str, int]:
        await self._ask()
        return {status: len(self.documents) if status == "queued" else 0 for status in statuses}

    async def group_counts(self, *, limit: int) -> dict[str, int]:
        await self._ask()
        return {"expanding": 2}

    async def rerenders(self, *, now: datetime, limit: int) -> dict[str, int]:
        await self._ask()
        return {"waiting": 7, "in_flight": 1, "delayed": 3}

    async def age(self, stage: Any, *, now: datetime) -> float | None:
        await self._ask()
        return 12.5 if stage.name == "fetch" else None


class KeptGroups(Kept):
    """Groups by id, with the imports and the records left out that a test gives them."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        super().__init__(*documents)
        self.tally: dict[str, int] = {}
        self.members: list[dict[str, Any]] = []
        self.skips: list[dict[str, Any]] = []

    async def counts(self, group: dict[str, Any]) -> dict[str, int]:  # type: ignore[override]
        await self._ask()
        return dict.fromkeys(STATUSES, 0) | self.tally

    async def left_out(self, group: dict[str, Any]) -> list[dict[str, Any]]:
        await self._ask()
        return self.skips

    async def children(self, group_id: str, *, start: int, limit: int) -> list[dict[str, Any]]:
        await self._ask()
        return [one for one in self.members if start <= one["group_position"] < start + limit]

    async def cancel(self, group_id: str, *, now: datetime) -> dict[str, Any] | None:
        await self._ask()
        self.documents[group_id] = {**self.documents[group_id], "status": "canceled"}
        return self.documents[group_id]


class Body:
    """A blob's bytes, that remembers whether it was closed."""

    def __init__(self, content: bytes) -> None:
        self._pieces = iter([content[start : start + 65_536] for start in range(0, len(content), 65_536)])
        self.given = 0
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            self.given += len(piece)
            return piece
        raise StopAsyncIteration

    async def close(self) -> None:
        self.closed = True


class Bytes:
    """A blob store in memory."""

    def __init__(self, **blobs: bytes) -> None:
        self.blobs: dict[str, bytes] = dict(blobs)
        self.error: Exception | None = None
        self.opened: list[Body] = []

    async def stream(self, key: str) -> tuple[int, Any]:
        if self.error is not None:
            raise self.error
        if key not in self.blobs:
            raise BlobMissingError
        self.opened.append(Body(self.blobs[key]))
        return len(self.blobs[key]), self.opened[-1]

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class Answer:
    """An answer as it went to the server: headers in their order, names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        return dict(self.headers).get(name.lower())

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Door:
    """One door, with its stores within reach."""

    imports: Kept = field(default_factory=Kept)
    images: Kept = field(default_factory=Kept)
    groups: KeptGroups = field(default_factory=KeptGroups)
    blobs: Bytes = field(default_factory=Bytes)
    redis: Any = field(default_factory=fakeredis.FakeRedis)
    rung: list[tuple[str, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    operator_password: str | None = OPERATOR_PASSWORD
    zone: str = "UTC"
    body_bytes: int = 4_096
    body_seconds: float = 5.0
    organization_requests: int = 256
    organization_large_requests: int = 1
    failed_logins_per_peer: int = 0
    failed_logins: int = 0
    dry_run_seconds: float = 0.2
    questions: Any = None  # None: they go to Redis, where nobody answers
    is_stopping: bool = False
    mongodb_error: Exception | None = None
    users_error: Exception | None = None
    gate: dict[str, Any] | None = None
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS))
    app: Edge = field(init=False)

    def __post_init__(self) -> None:
        self.app = create_app(
            stores=Stores(
                imports=self.imports,
                groups=self.groups,
                images=self.images,
                overview=self.imports,
                blobs=self.blobs,
                redis=self.redis,
                ping_mongodb=self._ping,
                enqueue=lambda queue, document: self.rung.append((queue, document["_id"])),
                questions=self.questions or Questions(self.redis, producer(self.redis)),
            ),
            authenticator=Authenticator(
                find_user=self._find_user,
                secrets=[SECRET],
                clock=NOW.timestamp,
                elapsed=itertools.count().__next__,  # each look is a second later: no user is remembered
            ),
            clock=lambda: NOW,
            new_id=lambda: self.ids.pop(0) if self.ids else "00000000-0000-4000-8000-000000000000",
            zone=ZoneInfo(self.zone),
            keys_kept=timedelta(days=1),
            limits=Limits(
                body_bytes=self.body_bytes,
                body_seconds=self.body_seconds,
                organization_requests=self.organization_requests,
                organization_large_requests=self.organization_large_requests,
                failed_logins_per_peer=self.failed_logins_per_peer,
                failed_logins=self.failed_logins,
                dry_run_seconds=self.dry_run_seconds,
            ),
            operator_password=self.operator_password,
            asking_threads=self.threads,
            stopping=lambda: self.is_stopping,
        )

    async def _ping(self) -> dict[str, Any]:
        if self.mongodb_error is not None:
            raise self.mongodb_error
        return {"ok": 1}

    async def _find_user(self, user_id: str) -> User | None:
        if self.users_error is not None:
            raise self.users_error
        known = {USER_ID: ORGANIZATION_ID, OTHER_USER_ID: OTHER_ORGANIZATION_ID}
        return User(user_id, known[user_id], self.gate) if user_id in known else None

    def token(self, user_id: str = USER_ID) -> str:
        return tokens.mint(user_id, secret=SECRET, now=NOW.timestamp())

    def call(self, method: str, path: str, **more: Any) -> Answer:
        """Send one request, with the user's token unless `token` is another one or None."""
        return asyncio.run(self.ask(method, path, **more))

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = b"",
        token: str | None = "",
        peer: str = "127.0.0.1",
    ) -> Answer:
        """As `call`. A `body` of None never arrives: whoever asks for it waits."""
        sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        if token is not None:
            sent.append((b"authorization", f'Token token="{token or self.token()}"'.encode()))
        if body and b"content-length" not in dict(sent):
            sent.append((b"content-length", str(len(body)).encode()))
        return await _asked(self.app, _scope(method, path, sent, peer), body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.threads.shutdown()
        self.redis.close()


def _scope(method: str, path: str, headers: list[tuple[bytes, bytes]], peer: str) -> dict[str, Any]:
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": (peer, 40_000),
        "server": ("127.0.0.1", 8_000),
    }


async def _asked(app: Edge, scope: dict[str, Any], body: bytes | None) -> Answer:
    sent: list[dict[str, Any]] = []
    pieces = [] if body is None else [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if pieces:
            return pieces.pop()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await app(scope, receive, send)
    start = sent[0]
    return Answer(
        start["status"],
        [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]],
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


def image(import_id: str, *, organization_id: str = ORGANIZATION_ID, **changes: Any) -> dict[str, Any]:
    """Return an image entry as workers write it, with one thumbnail of each name."""
    sizes = {"large": (1280, 960), "medium": (480, 360), "small": (160, 120)}
    return {
        "_id": "11111111-2222-5333-8444-555555555555",
        "organization_id": organization_id,
        "import_id": import_id,
        "album_id": "5005800000HEXCtAAP",
        "filename": "Image123.jpg",
        "content_type": "image/jpeg",
        "width": 4000,
        "height": 3000,
        "bytes": 8,
        "sha256": "0" * 64,
        "metadatas": '{"attachmentId":"00P4I00000zyw3eUAA"}',
        "original": {"key": f"{organization_id}/originals/{'0' * 64}"},
        "thumbnails": [
            {
                "name": name,
                "width": width,
                "height": height,
                "content_type": "image/jpeg",
                "bytes": 5,
                "sha256": str(n) * 64,
                "key": f"{organization_id}/thumbnails/{str(n) * 64}",
            }
            for n, (name, (width, height)) in enumerate(sizes.items(), 1)
        ],
        "recipe": "1",
        "taken_at": None,
        "created_at": NOW,
        **changes,
    }

"""Dispatch documents to workers, so that nobody's ten thousand stand before another's one.

A document that is dispatched has a message in dramatiq's queue, or a worker works on it. An organization has at
most N documents dispatched in a stage; the others wait in its backlog, oldest first. As dispatched ones finish,
backlogs are served round robin, those of organizations with fewer dispatched first. All organizations together have few more dispatched than one alone may have, but
one that has none dispatched is served at once. While another that has nothing waiting is at work, one with a backlog
leaves it a render process and asks less of the stores. So those whose Salesforce hangs fill no more threads than one does
and one more each, and thousands of one organization delay another's single import by a handful of messages.

All of it is a hint, kept by one script (`dispatch.lua`), each step of which is one round trip. Dispatching twice is
harmless; what Redis forgets the sweeper dispatches again, since each open document has its `due_at`. A stage that
shares its queue with another has places and backlogs of its own. Keys, for a stage S and an organization O:

    imports:dispatched:S    sorted set  O|document → when it counts as overdue (ms)
    imports:messages:S      hash        O|document → the id of its message in Redis
    imports:active:S        hash        O → how many it has dispatched
    imports:backlog:S:O     sorted set  documents that wait → when they were accepted (ms)
    imports:backlogs:S      sorted set  organizations with a backlog → their turn; inf: not served for now
    imports:delayed:S       sorted set  documents that wait for their next attempt → when it comes (ms)
    imports:recent          sorted set  organizations → when something of theirs was dispatched last (ms)
    imports:turn            count       of turns, which also makes the ids of messages unique
    imports:epoch           text        gone or changed when Redis was emptied or replaced
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import redis
import redis.asyncio
import structlog

from common.queue.jobs import NAMESPACE, STAGES, template

log = structlog.get_logger(__name__)

EPOCH = "imports:epoch"
# Listings that an organization may have dispatched. Each is seconds of work that only leads to more; a second one
# beside it would take a thread from others and give nothing sooner.
LISTINGS = 1
# Renders of an organization that may wait, for each that it may have dispatched, before no more is fetched for it.
AHEAD = 32
# So long after its last dispatch, an organization at work counts as being there. One that hangs does not for longer.
FRESH_SECONDS = 3.0
OVERDUE_SECONDS = 12.0  # a document that no worker began within so long is looked at again

Documents = Iterable[tuple[str, datetime]]  # id, time of acceptance


@dataclass(frozen=True, slots=True)
class Overdue:
    """A dispatched document that no worker has begun in time."""

    organization_id: str
    document_id: str
    waits: bool  # whether its message is still in the queue, as far as one can see


class MessageInHand(Protocol):
    """The message that a worker's thread works on: acknowledged with what is said of its document."""

    def current(self) -> Mapping[str, Any] | None:
        """Return its `id`, its `queue`'s key, the key of the `acks` that it stands in, and whether to `take` the next
        one; None where there is none."""
        ...

    def acknowledged(self, taken: bytes | None) -> None:
        """Note that it is acknowledged, and work on the one that was taken."""
        ...


class Requests:
    """Writes the requests of the script. `now` is the store's time in seconds.

    Not the process's own: others read when a document is overdue, and one whose clock is days ahead would
    dispatch what nobody looks at again before days have passed.
    """

    def __init__(
        self,
        *,
        per_organization: int,
        renders_per_organization: int | None = None,
        now: Callable[[], float],
    ) -> None:
        renders = per_organization if renders_per_organization is None else renders_per_organization
        limits = {"fetch": per_organization, "render": renders, "expand": LISTINGS}
        self._now = now
        self._stages = {stage: _stage(stage, limit) for stage, limit in limits.items()}
        self._stages["fetch"]["ahead"] = {"of": "render", "most": renders * AHEAD}

    def now(self, seconds: float = 0.0) -> int:
        """Return the time in so many seconds, in milliseconds."""
        return int((self._now() + seconds) * 1000)

    def limit(self, stage: str, limit: int | None) -> int:
        """Return a limit, or the usual one of a stage for None."""
        return int(self._stages[stage]["limit"]) if limit is None else limit

    def write(self, command: str, stage: str, *, patience: float = OVERDUE_SECONDS, **details: Any) -> str:
        """Return a request as the script's argument."""
        return json.dumps(
            {
                "command": command,
                "now": self.now(),
                "fresh": int(FRESH_SECONDS * 1000),
                "stage": self._of(stage, patience),
                **details,
            },
            separators=(",", ":"),
        )

    def enqueue(
        self, stage: str, work: Iterable[tuple[str, str, datetime]], *, limit: int | None = None
    ) -> str:
        """Return the request for documents of a stage: organization, id, time of acceptance."""
        named = [(organization, document, _ms(accepted)) for organization, document, accepted in work]
        return self.write("enqueue", stage, work=named, limit=self.limit(stage, limit))

    def beside(self, stage: str, then: tuple[str, datetime] | None) -> dict[str, Any]:
        """Return what else a `finish` dispatches: its document to another stage, and fetches that it held up."""
        details: dict[str, Any] = {}
        if then is not None:
            details |= {"next": self._of(then[0], OVERDUE_SECONDS), "accepted": _ms(then[1])}
        if stage == "render":
            details["previous"] = self._of("fetch", OVERDUE_SECONDS)
        return details

    def _of(self, stage: str, patience: float) -> dict[str, Any]:
        return {**self._stages[stage], "patience": int(patience * 1000)}


class Dispatcher:
    """Everything raises RedisError where Redis is away; then the sweeper dispatches later.

    `message` is the message in hand, where this process has any.
    """

    def __init__(
        self, client: redis.Redis, requests: Requests, *, message: MessageInHand | None = None
    ) -> None:
        self._client, self._requests, self._message = client, requests, message
        self._script = client.register_script(_script())

    def enqueue(
        self, stage: str, organization_id: str, documents: Documents, *, limit: int | None = None
    ) -> None:
        """Have documents looked at by workers, now or when it is their turn.

        One that is dispatched, or waits already, is left as it is. `limit` is how many the organization may have
        dispatched, where that is not the usual number.
        """
        work = ((organization_id, document_id, accepted) for document_id, accepted in documents)
        self._run(self._requests.enqueue(stage, work, limit=limit))

    def finish(
        self,
        stage: str,
        organization_id: str,
        document_id: str,
        *,
        then: tuple[str, datetime] | None = None,
        counters: Mapping[str, float] | None = None,
    ) -> None:
        """Acknowledge the message in hand, give the document's place to the next one, dispatch the document to the
        stage `then` (with its time of acceptance), raise counters and take the next message: all in one step."""
        self._settle(
            "finish",
            stage,
            organization=organization_id,
            document=document_id,
            counters=dict(counters or {}),
            **self._requests.beside(stage, then),
        )

    def requeue(
        self,
        stage: str,
        organization_id: str,
        document_id: str,
        accepted_at: datetime,
        *,
        counters: Mapping[str, float] | None = None,
    ) -> None:
        """Put a document back into the backlog, and serve its organization no more until it is resumed."""
        self._settle(
            "requeue",
            stage,
            organization=organization_id,
            document=document_id,
            accepted=_ms(accepted_at),
            counters=dict(counters or {}),
        )

    def resume(self, stage: str, limits: Mapping[str, int | None]) -> None:
        """Serve the backlogs of organizations, each within its limit (None: the usual one, 0: not now)."""
        named = {one: self._requests.limit(stage, limit) for one, limit in limits.items()}
        self._run(self._requests.write("resume", stage, limits=named))

    def extend(
        self, stage: str, organization_id: str, document_id: str, *, seconds: float = OVERDUE_SECONDS
    ) -> None:
        """Count a dispatched document as overdue only later: it is worked on, or its queue is long."""
        entry = {f"{organization_id}|{document_id}": self._requests.now(seconds)}
        self._client.zadd(_key("dispatched", stage), entry, xx=True)

    def redeliver(self, stage: str, organization_id: str, document_id: str, *, seconds: float) -> None:
        """Send the message of a dispatched document once more; it is overdue again after so many seconds."""
        named = {"organization": organization_id, "document": document_id}
        self._run(self._requests.write("redeliver", stage, patience=seconds, **named))

    def delay(self, stage: str, document_id: str, *, seconds: float) -> None:
        """Note that a document waits for its next attempt, so that the queue's depth counts it."""
        self._client.zadd(_key("delayed", stage), {document_id: self._requests.now(seconds)})

    def overdue(self, stage: str, *, limit: int) -> list[Overdue]:
        """Return dispatched documents that nobody began in time, and forget attempts that have come."""
        now = self._requests.now()
        pipe = self._client.pipeline(transaction=False)
        pipe.zremrangebyscore(_key("delayed", stage), "-inf", now)
        pipe.zrangebyscore(_key("dispatched", stage), "-inf", now, start=0, num=limit)
        entries = pipe.execute()[1]
        if not entries:
            return []
        queue = f"{NAMESPACE}:{STAGES[stage].queue}"
        pipe = self._client.pipeline(transaction=False)
        pipe.llen(queue)
        pipe.hmget(_key("messages", stage), entries)
        length, ids = pipe.execute()
        kept: Any = self._client.hmget(f"{queue}.msgs", [one or b"" for one in ids])
        found = []
        for entry, message in zip(entries, kept, strict=True):
            organization_id, separator, document_id = (_read(entry) or "").partition("|")
            if separator:
                found.append(Overdue(organization_id, document_id, waits=bool(length and message)))
            else:
                self._forget(stage, entry)
        return found

    def organizations(self, stage: str) -> list[str]:
        """Return the organizations that have a backlog."""
        found = []
        members: Any = self._client.zrange(_key("backlogs", stage), 0, -1)
        for member in members:
            if (organization_id := _read(member)) is None:
                self._client.zrem(_key("backlogs", stage), member)
            else:
                found.append(organization_id)
        return sorted(found)

    def epoch(self, mine: str) -> str:
        """Return the mark of this Redis's contents, leaving `mine` where there is none (it was emptied)."""
        pipe = self._client.pipeline(transaction=False)
        pipe.set(EPOCH, mine, nx=True)
        pipe.get(EPOCH)
        found = pipe.execute()[1]
        return found.decode(errors="replace") if found is not None else ""

    def _settle(self, command: str, stage: str, **details: Any) -> None:
        message = None if self._message is None else self._message.current()
        if message is not None:
            details["acknowledge"] = message
        taken = self._run(self._requests.write(command, stage, **details))
        if message is not None and self._message is not None:
            self._message.acknowledged(taken)

    def _run(self, request: str) -> Any:
        return self._script(args=[request])

    def _forget(self, stage: str, entry: bytes) -> None:
        """Remove what cannot be read. The places in use are counted anew at the next `resume`."""
        self._client.zrem(_key("dispatched", stage), entry)
        self._client.hdel(_key("messages", stage), entry)
        log.warning("dispatched document cannot be read", stage=stage, entry=repr(entry))


class NoDispatcher:
    """Ends stages where there is no queue: nothing is acknowledged, dispatched or counted."""

    def finish(self, *_: object, **__: object) -> None:
        """Do nothing."""

    requeue = delay = finish


class AsyncDispatcher:
    """What the door needs of it, on its loop. Raises RedisError."""

    def __init__(self, client: redis.asyncio.Redis, requests: Requests) -> None:
        self._requests = requests
        self._script = client.register_script(_script())

    async def enqueue(self, stage: str, work: Iterable[tuple[str, str, datetime]]) -> None:
        """Have documents of any organizations looked at: organization, id, time of acceptance. One round trip."""
        await self._script(args=[self._requests.enqueue(stage, work)])


def _script() -> str:
    return Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")


def _stage(stage: str, limit: int) -> dict[str, Any]:
    job = STAGES[stage]
    return {
        "name": stage,
        "queue": f"{NAMESPACE}:{job.queue}",
        "message": template(job),
        "limit": limit,
        # Documents of all organizations at which only one that has none dispatched gets another.
        "capacity": limit + max(1, limit // 6),
        # What it may have beside one that has nothing waiting.
        "beside": max(1, limit - 2 if stage == "render" else limit // 3),
    }


def _key(kind: str, stage: str) -> str:
    return f"imports:{kind}:{stage}"


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _read(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None

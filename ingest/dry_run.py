"""Tell what a request would do, without doing it: `?dry_run=true` from here, `?dry_run=online` from the source.

Only the query asks for it: in a body the name is a parameter like any other, and echoed. Online, the question
goes to the workers, since the door speaks to no source. Nothing is written down, here or there, but the question
and its answer, which live in Redis for seconds.

A worker of another release or a foreign hand may have put anything in the place of an answer. So each is built anew
from the keys that are known: none of it can pass for the door's own words, and what is beyond them stays inside.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, Literal, TypeVar

import structlog
from falcon.asgi import Request
from redis.exceptions import RedisError

from common import sources
from common.queue.questions import Questions
from ingest import json_text, rack
from ingest import params as parameters
from ingest.auth import Identity
from ingest.errors import ProblemError, TooManyRequestsError, UnavailableError
from ingest.group_order import judged

WAIT_SECONDS = 10.0
RETRY_AFTER = 2.0
MOST_WAITING = 100  # callers of this process; each costs a look at Redis every quarter of a second
THREADS = 4  # that speak to Redis for dry runs
LOOKS = (0.05, 0.25)  # seconds between two looks for an answer, at first and at last

log = structlog.get_logger(__name__)

T = TypeVar("T")
Mode = Literal["offline", "online"]
_MODES: dict[str, Mode | None] = {"true": "offline", "online": "online", "false": None}

# What an answer holds: by key the types, or the shape, of a value; for an object there may be None.
_Shape = Mapping[str, Any]
_TEXT, _NUMBER, _TEXT_OR_NONE = (str,), (int,), (str, type(None))
_PROBLEM: _Shape = {"code": _TEXT, "detail": _TEXT}
_RECORD: _Shape = {
    "id": _TEXT,
    "name": _TEXT_OR_NONE,
    "size": (int, type(None)),  # bytes
    "type": _TEXT_OR_NONE,
    "md5": _TEXT_OR_NONE,
}
_COUNTS: _Shape = {"new": _NUMBER, "existing": _NUMBER, "skipped": _NUMBER}
OF_IMPORT: _Shape = {"record": _RECORD, "reuses": _TEXT_OR_NONE, "api_calls": _NUMBER}
OF_GROUP: _Shape = {"counts": _COUNTS, "api_calls": _NUMBER}


def mode_of(req: Request) -> Mode | None:
    """Return how a request is to be tried out, or None where it is meant. Raises ProblemError (422).

    Whoever misspells it must not find that the import was made.
    """
    query = rack.query(req.scope["query_string"])
    if "dry_run" not in query:
        return None
    value = query["dry_run"]
    if not isinstance(value, str) or value.lower() not in _MODES:
        detail = "dry_run must be true, online or false."
        raise ProblemError("parameter_invalid", detail, pointer="#/dry_run")
    return _MODES[value.lower()]


class Asking:
    """Asks the workers and waits, without holding up anything else.

    `threads` are for this alone: a silent Redis keeps each of them for a second, and in asyncio's own ones
    pictures are read.
    """

    def __init__(
        self,
        questions: Questions,
        *,
        threads: Executor,
        new_id: Callable[[], str],
        seconds: float = WAIT_SECONDS,
    ) -> None:
        self._questions, self._threads = questions, threads
        self._new_id, self._seconds = new_id, seconds
        self._waiting = 0

    async def ask(
        self, organization_id: str, question: Mapping[str, Any], *, shape: _Shape
    ) -> dict[str, Any]:
        """Return `problems` and what else a shape has of the workers' answer.

        Raises UnavailableError, also for an answer that is none, and TooManyRequestsError.
        """
        if self._waiting >= MOST_WAITING:
            raise UnavailableError(RETRY_AFTER)
        question_id = self._new_id()
        text = json.dumps({"organization_id": organization_id, **question})
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):  # the wait for a free thread included
                if not await self._call(self._questions.ask, question_id, organization_id, text):
                    raise TooManyRequestsError(RETRY_AFTER)
                try:
                    return await self._answer(question_id, shape)
                finally:
                    await self._call(self._questions.done, question_id, organization_id)
        except (RedisError, TimeoutError):
            raise UnavailableError(RETRY_AFTER) from None
        finally:
            self._waiting -= 1

    async def _answer(self, question_id: str, shape: _Shape) -> dict[str, Any]:
        pause, longest = LOOKS
        while True:
            await asyncio.sleep(pause)
            try:
                if (text := await self._call(self._questions.answer, question_id)) is not None:
                    return _read(text, shape)
            except ValueError as error:  # bytes that are no text are one as well
                log.warning("answer to a dry run not understood", reason=type(error).__name__)
                raise UnavailableError(RETRY_AFTER) from None
            pause = min(pause * 1.3, longest)

    async def _call(self, function: Callable[..., T], *given: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *given)


async def of_import(params: Mapping[str, Any], identity: Identity, *, mode: Mode, asking: Asking) -> bytes:
    """Return the answer to an import that is only tried out."""
    sent = dict(params)
    verdict = sources.judge(
        import_type=parameters.text(sent, "import_type"), attachment_id=parameters.text(sent, "attachment_id")
    )
    problems = [] if verdict.code is None else [{"code": verdict.code, "detail": verdict.detail or ""}]
    if mode == "offline":
        return _told(problems)
    if problems:
        return _told(problems, record=None, reuses=None, api_calls=0)
    question = {"record_id": verdict.record_id}
    return _told(**await asking.ask(identity.organization_id, question, shape=OF_IMPORT))


async def of_group(params: Mapping[str, Any], identity: Identity, *, mode: Mode, asking: Asking) -> bytes:
    """Return the answer to a group that is only tried out."""
    order = judged(params)
    problems = [{"code": fault.code, "detail": fault.detail} for fault in order.faults]
    if mode == "offline":
        return _told(problems)
    if problems:
        return _told(problems, counts=None, api_calls=0)
    since = order.options["created_since"]
    options = {**order.options, "created_since": since and since.isoformat()}
    question = {"album_id": order.album_id, "options": options}
    return _told(**await asking.ask(identity.organization_id, question, shape=OF_GROUP))


def _told(problems: list[dict[str, str]], **found: Any) -> bytes:
    return json_text.encoded({"dry_run": True, "accepted": not problems, "problems": problems, **found})


def _read(text: str, shape: _Shape) -> dict[str, Any]:
    """Read an answer. Raises ValueError for what is none."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    problems = found.get("problems") if isinstance(found, dict) else None
    if not isinstance(problems, list):
        raise ValueError("no list of problems")  # noqa: TRY004 - whatever is wrong with an answer is one error
    return {"problems": [_taken(one, _PROBLEM) for one in problems], **_taken(found, shape)}


def _taken(value: object, shape: _Shape) -> dict[str, Any]:
    """Take the keys of a shape, all of them. By `type`, since True would pass for a number."""
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - see above
    taken: dict[str, Any] = {}
    for name, kinds in shape.items():
        one = value.get(name, ())  # of no kind
        if isinstance(kinds, Mapping):
            taken[name] = None if one is None else _taken(one, kinds)
        elif type(one) in kinds:
            taken[name] = one
        else:
            raise ValueError(f"{name} is missing or of another type")
    return taken

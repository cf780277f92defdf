"""Answer dry runs: what the source tells of a record or an album, for a caller who waits at the door.

Nothing is claimed and nothing is written but the answer. A question comes as JSON: `organization_id`, and
either `record_id` or `album_id` with the `options` of a group. It is checked like what a caller sends, since anyone
who reaches Redis can write one: what is no text would become an operator in a query to MongoDB. The answer is JSON as well: `problems`, what was
found (`record` and `reuses`, or `counts`), and `api_calls`.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import redis
import structlog
from pymongo.errors import PyMongoError

from common.documents.database import Document
from common.documents.groups import child_id_of
from common.documents.imports import Imports
from common.documents.organizations import Organizations
from common.queue.questions import Questions
from common.sources import case_id, salesforce_id
from workers.deadlines import Deadline
from workers.failures import Failure, Permanent
from workers.sources.record import ListedRecord, Record, Source
from workers.stages.sift import Sift, is_no_picture

log = structlog.get_logger(__name__)

SECONDS = 8.0  # the caller waits for ten, and the answer has to travel


class QuestionError(Exception):
    """What was found in Redis is no question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a caller wants to know: of one record, or of an album (the other one is empty)."""

    organization_id: str
    record_id: str = ""
    album_id: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def read(text: str) -> Question:
    """Read a question, believing in nothing. Raises QuestionError."""
    try:
        asked = json.loads(text)
        organization_id = str(uuid.UUID(asked["organization_id"]))
        if "album_id" not in asked:
            return Question(organization_id=organization_id, record_id=salesforce_id(asked["record_id"]))
        return Question(
            organization_id=organization_id,
            album_id=case_id(asked["album_id"]),
            options=_options(**asked["options"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise QuestionError from None


def _options(
    *, created_since: str | None, max_bytes: int | None, kinds: list[str] | None, include_emails: bool
) -> dict[str, Any]:
    """Return the options of a group. Raises ValueError or TypeError for one of another type."""
    if not isinstance(max_bytes, int | None) or not isinstance(include_emails, bool):
        raise TypeError
    if kinds is not None and not all(isinstance(kind, str) for kind in kinds):
        raise TypeError
    return {
        "created_since": None if created_since is None else datetime.fromisoformat(created_since),
        "max_bytes": max_bytes,
        "kinds": kinds,
        "include_emails": include_emails,
    }


class Judge(Protocol):
    """Tells whether an organization's gate is closed: the code and the sentence of what closed it."""

    def closed(self, organization: Document) -> tuple[str, str] | None: ...


class DryRuns:
    """Answers questions. `source_of` opens the source of an organization, `sifting` judges a group's records."""

    def __init__(  # noqa: PLR0913 - everything that has an effect is handed in
        self,
        *,
        questions: Questions,
        organizations: Organizations,
        imports: Imports,
        gates: Judge,
        source_of: Callable[[Document], Source],
        sifting: Callable[[Document], Sift],
        max_bytes: int,
    ) -> None:
        self._questions, self._organizations, self._imports = questions, organizations, imports
        self._gates, self._source_of, self._sifting = gates, source_of, sifting
        self._max_bytes = max_bytes

    def answer(self, question_id: str) -> None:
        """Answer one question. Never raises: one that cannot be answered is one whose caller asks again."""
        try:
            text = self._questions.take(question_id)
            if text is None:
                return  # asked so long ago that nobody waits any more
            self._questions.give(question_id, json.dumps(self._answered(read(text))))
        except QuestionError:
            log.warning("question not answered", reason="it is none that this release asks")
        except (redis.RedisError, PyMongoError) as error:
            log.warning("question not answered", reason=type(error).__name__)
        except Exception:
            log.exception("question not answered")

    def _answered(self, asked: Question) -> dict[str, Any]:
        organization = self._organizations.find(asked.organization_id)
        if organization is None:
            raise QuestionError
        closed = self._gates.closed(organization)
        if closed is not None:
            # A closed gate is probed by imports alone: whoever tries out records must not keep it busy.
            nothing = {"counts": None} if asked.album_id else {"record": None, "reuses": None}
            return _told(closed, calls=0, **nothing)
        deadline = Deadline(SECONDS, stopping=threading.Event())
        if asked.album_id:
            return self._album(organization, asked, deadline)
        return self._record(organization, asked.record_id, deadline)

    def _record(self, organization: Document, record_id: str, deadline: Deadline) -> dict[str, Any]:
        reuses = self._imports.succeeded_with(organization["_id"], record_id)
        found: dict[str, Any] = {"record": None, "reuses": reuses and reuses["_id"]}
        try:
            visit = self._source_of(organization).visit(record_id, deadline=deadline)
            record = visit.describe()
        except Failure as failure:
            return _told((failure.code, failure.detail), calls=failure.calls, **found)
        found["record"] = {
            "id": record.id,
            "name": record.name,
            "size": record.size,
            "type": record.content_type,
            "md5": record.md5,
        }
        problem = self._problem_of(record)
        told = None if problem is None else (problem.code, problem.detail)
        return _told(told, calls=visit.calls, **found)

    def _problem_of(self, record: Record) -> Permanent | None:
        """Judge what can be judged by a record's row."""
        if record.size == 0:
            return Permanent("attachment_empty", "The attachment has no bytes.")
        if record.size is not None and record.size > self._max_bytes:
            return Permanent(
                "attachment_too_large", f"The attachment is larger than {self._max_bytes} bytes."
            )
        if is_no_picture(record.content_type, record.name):
            return Permanent("not_an_image", "By its name and type the attachment is no picture.")
        return None

    def _album(self, organization: Document, asked: Question, deadline: Deadline) -> dict[str, Any]:
        options = asked.options
        sift = self._sifting({"album_id": asked.album_id, "options": options})

        def existing(page: Sequence[ListedRecord]) -> set[str]:  # the records that have an import already
            ids = {
                child_id_of(organization["_id"], asked.album_id, one.record_id): one.record_id for one in page
            }
            return {ids[one["_id"]] for one in self._imports.find_many(ids)}

        try:
            listing = self._source_of(organization).images_of(
                asked.album_id,
                created_since=options["created_since"],
                include_emails=options["include_emails"],
                deadline=deadline,
            )
            counts = Counter({"new": 0, "existing": 0, "skipped": 0})
            for page in listing:
                there = existing(page)
                for record in page:
                    if record.record_id in there:
                        counts["existing"] += 1
                    else:
                        counts["skipped" if sift.left_out(record) else "new"] += 1
        except Failure as failure:
            return _told((failure.code, failure.detail), calls=failure.calls, counts=None)
        return _told(None, calls=listing.calls, counts=dict(counts))


def _told(problem: tuple[str, str] | None, *, calls: int, **found: Any) -> dict[str, Any]:
    problems = [] if problem is None else [{"code": problem[0], "detail": problem[1]}]
    return {"problems": problems, **found, "api_calls": calls}

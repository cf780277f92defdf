"""Define what may be asked of the workers. Importing this pulls in no worker code.

A job says only «look at X now»: it carries an id and nothing else, so a lost, doubled, late or alien message
is harmless and messages of any release stay readable. The actor names are promises kept in messages that
wait in Redis: never derive them from a function, and rename them only in three deploys.

Jobs with a `bell` are rung for documents, by the stage of that name (see `doorbells.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

import dramatiq


@dataclass(frozen=True, slots=True)
class FetchAttachment:
    """Bring the attachment of an import from its source into the blobs."""

    actor: ClassVar[str] = "fetch_attachment"
    queue: ClassVar[str] = "fetch"
    bell: ClassVar[str | None] = "fetch"
    import_id: str


@dataclass(frozen=True, slots=True)
class RenderThumbnails:
    """Make the thumbnails of a fetched original and record the image."""

    actor: ClassVar[str] = "render_thumbnails"
    queue: ClassVar[str] = "render"
    bell: ClassVar[str | None] = "render"
    import_id: str


@dataclass(frozen=True, slots=True)
class ExpandGroup:
    """List the album of a group and write an import for each picture."""

    actor: ClassVar[str] = "expand_group"
    queue: ClassVar[str] = "fetch"
    bell: ClassVar[str | None] = "expand"
    group_id: str


@dataclass(frozen=True, slots=True)
class AnswerDryRun:
    """Ask the source what an import or a group would find, for a caller that waits (see `questions.py`)."""

    actor: ClassVar[str] = "answer_dry_run"
    queue: ClassVar[str] = "fetch"
    bell: ClassVar[str | None] = None
    question_id: str


NAMESPACE = "dramatiq"  # what the names of dramatiq's keys begin with
Job = FetchAttachment | RenderThumbnails | ExpandGroup | AnswerDryRun
JOBS: tuple[type[Job], ...] = (FetchAttachment, RenderThumbnails, ExpandGroup, AnswerDryRun)
QUEUES: tuple[str, ...] = tuple(dict.fromkeys(job.queue for job in JOBS))
BELLS: dict[str, type[Job]] = {job.bell: job for job in JOBS if job.bell is not None}


def message(job: Job) -> dramatiq.Message[None]:
    """Write a job as the message that waits in Redis."""
    return dramatiq.Message(
        queue_name=job.queue,
        actor_name=job.actor,
        args=(),
        kwargs=asdict(job),
        options={},
    )

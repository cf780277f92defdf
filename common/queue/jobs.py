"""Define what may be asked of the workers. Importing this pulls in no worker code.

A job says only "look at X now". What it says of X beside its id is a hint that is held against the document, so a
lost, doubled, late or alien message is harmless, and messages of any release stay readable. The actor names are
promises kept in messages that wait in Redis: never derive them from a function, and rename them only in three deploys.

Jobs with a `stage` are dispatched for documents of that stage (see `dispatch.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import ClassVar

import dramatiq


@dataclass(frozen=True, slots=True)
class FetchAttachment:
    """Bring the attachment of an import from its source into the blobs."""

    actor: ClassVar[str] = "fetch_attachment"
    queue: ClassVar[str] = "fetch"
    stage: ClassVar[str | None] = "fetch"
    import_id: str
    organization_id: str | None = None


@dataclass(frozen=True, slots=True)
class RenderThumbnails:
    """Make the thumbnails of a fetched original and record the image."""

    actor: ClassVar[str] = "render_thumbnails"
    queue: ClassVar[str] = "render"
    stage: ClassVar[str | None] = "render"
    import_id: str
    organization_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExpandGroup:
    """List the album of a group and write an import for each picture."""

    actor: ClassVar[str] = "expand_group"
    queue: ClassVar[str] = "fetch"
    stage: ClassVar[str | None] = "expand"
    group_id: str
    organization_id: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerDryRun:
    """Ask the source what an import or a group would find, for a caller that waits (see `questions.py`)."""

    actor: ClassVar[str] = "answer_dry_run"
    queue: ClassVar[str] = "fetch"
    stage: ClassVar[str | None] = None
    question_id: str


NAMESPACE = "dramatiq"  # what the names of dramatiq's keys begin with
Job = FetchAttachment | RenderThumbnails | ExpandGroup | AnswerDryRun
JOBS: tuple[type[Job], ...] = (FetchAttachment, RenderThumbnails, ExpandGroup, AnswerDryRun)
QUEUES: tuple[str, ...] = tuple(dict.fromkeys(job.queue for job in JOBS))
STAGES: dict[str, type[Job]] = {job.stage: job for job in JOBS if job.stage is not None}


def message(job: Job) -> dramatiq.Message[None]:
    """Write a job as the message that waits in Redis."""
    return dramatiq.Message(
        queue_name=job.queue,
        actor_name=job.actor,
        args=(),
        kwargs={name: value for name, value in asdict(job).items() if value is not None},
        options={},
    )


def template(job: type[Job]) -> str:
    """Return the message of a job as a format: of its document's id, its organization's, twice its own, the time in ms.

    It is dramatiq's own encoding, filled by the script that enqueues it.
    """
    written = dramatiq.Message(
        queue_name=job.queue,
        actor_name=job.actor,
        args=(),
        kwargs={field.name: "%s" for field in fields(job)},
        options={"redis_message_id": "%s"},
        message_id="%s",
        message_timestamp=0,
    ).encode()
    return written.decode().replace('"message_timestamp":0', '"message_timestamp":%.0f')

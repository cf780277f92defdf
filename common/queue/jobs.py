"""Define what may be asked of the workers. Importing this pulls in no worker code.

A job says only «look at import X now»: it carries an id and nothing else, so a lost, doubled, late or
alien message is harmless and messages of any release stay readable. The actor names are promises kept
in messages that wait in Redis: never derive them from a function, and rename them only in three deploys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import dramatiq


@dataclass(frozen=True, slots=True)
class FetchAttachment:
    """Bring the attachment of an import from its source into the blobs."""

    actor: ClassVar[str] = "fetch_attachment"
    queue: ClassVar[str] = "fetch"
    import_id: str


@dataclass(frozen=True, slots=True)
class RenderThumbnails:
    """Make the thumbnails of a fetched original and record the image."""

    actor: ClassVar[str] = "render_thumbnails"
    queue: ClassVar[str] = "render"
    import_id: str


Job = FetchAttachment | RenderThumbnails
JOBS: tuple[type[FetchAttachment] | type[RenderThumbnails], ...] = (FetchAttachment, RenderThumbnails)
QUEUES: tuple[str, ...] = tuple(job.queue for job in JOBS)


def message(job: Job) -> dramatiq.Message[None]:
    """Write a job as the message that waits in Redis."""
    return dramatiq.Message(
        queue_name=job.queue,
        actor_name=job.actor,
        args=(),
        kwargs={"import_id": job.import_id},
        options={},
    )

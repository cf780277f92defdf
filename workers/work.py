"""Bind the stages to this process's source, stores and decoder; say what an absent store means.

The stages raise what their stores raise. Here a store that cannot serve becomes a wait that counts
nothing, and an original that is gone becomes an end that a retry can undo.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from common.blobs import BlobMismatchError, BlobMissingError, Blobs, BlobsUnavailableError
from common.documents.claims import Claim
from common.documents.database import Document
from common.documents.groups import Groups
from common.documents.imports import Imports
from workers.children import Children
from workers.deadlines import Deadline
from workers.decoding.client import Decoder
from workers.failures import Permanent, Throttled, Transient
from workers.imaging.variants import Recipe
from workers.recipes import recipe_for
from workers.sources import Sources
from workers.spool import spool_file
from workers.stages.expand import expand
from workers.stages.fetch import Original, fetch
from workers.stages.render import Rendered, render
from workers.stages.sift import Sift

PIECE = 1 << 20

Fetch = Callable[[Document, Document, threading.Event], Original]
Render = Callable[[Document, Document, threading.Event], Rendered]
Expand = Callable[[Claim, Document, threading.Event], int]


def fetching(*, sources: Sources, blobs: Blobs, spool_dir: Path, max_bytes: int, seconds: float) -> Fetch:
    """Return the fetch stage of this process; it takes the import, its organization, and the event to stop."""

    def work(document: Document, organization: Document, stop: threading.Event) -> Original:
        kind = (organization.get("source") or {}).get("type")
        if kind is not None and kind != document["source_type"]:
            raise Permanent(
                "source_missing",
                "The organization imports from another source: set import_type to its own, or leave it out.",
            )
        with stores_away():
            return fetch(
                organization_id=document["organization_id"],
                source_type=document["source_type"],
                record_id=document["record_id"],
                source=sources.of(organization),
                blobs=blobs,
                spool_dir=spool_dir,
                max_bytes=max_bytes,
                deadline=Deadline(seconds, stopping=stop),
                known=document.get("listed"),
                group=document.get("group_id") is not None,
            )

    return work


def rendering(*, decoder: Decoder, blobs: Blobs, spool_dir: Path, recipe: Recipe, gps_policy: str) -> Render:
    """Return the render stage of this process; as for `fetching`."""

    def work(document: Document, organization: Document, stop: threading.Event) -> Rendered:
        with stores_away(), _spooled(blobs, document["original"]["key"], spool_dir) as original:
            return render(
                organization_id=document["organization_id"],
                original=original,
                decoder=decoder,
                blobs=blobs,
                stopping=stop,
                recipe=recipe_for(organization, recipe),
                gps_policy=gps_policy,
            )

    return work


def expanding(  # noqa: PLR0913 - all of it by keyword
    *,
    sources: Sources,
    blobs: Blobs,
    imports: Imports,
    groups: Groups,
    clock: Callable[[], datetime],
    sifting: Callable[[Document], Sift],
    seconds: float,
) -> Expand:
    """Return the expansion of a group in this process; it returns how many calls it has cost.

    `sifting` makes the judge of one group's records.
    """

    def stored(seen: Document) -> bool:
        original = seen["original"]
        return original is not None and blobs.size(original["key"]) == original["bytes"]

    def work(claim: Claim, organization: Document, stop: threading.Event) -> int:
        group = claim.document
        options = group["options"]
        with stores_away():
            listing = sources.of(organization).images_of(
                group["album_id"],
                created_since=options["created_since"],
                include_emails=options["include_emails"],
                deadline=Deadline(seconds, stopping=stop),
            )
            expand(
                listing,
                sift=sifting(group),
                book=Children(claim, imports=imports, groups=groups, stored=stored, clock=clock),
                positions=group["positions"],
                stopping=stop,
            )
            return listing.calls

    return work


def sifting(*, max_bytes: int, logo_bytes: int) -> Callable[[Document], Sift]:
    """Return what makes the judge of a group's records, from the limits of this process and the group's own."""

    def of(group: Document) -> Sift:
        options = group["options"]
        return Sift(
            album_id=group["album_id"],
            kinds=None if options["kinds"] is None else frozenset(options["kinds"]),
            max_bytes=min(max_bytes, options["max_bytes"] or max_bytes),
            logo_bytes=logo_bytes,
        )

    return of


@contextlib.contextmanager
def stores_away() -> Iterator[None]:
    """Turn what the blobs and the disk raise into the failures of `workers/failures.py`."""
    try:
        yield
    except BlobsUnavailableError as error:
        raise Throttled(
            "blobs_unavailable",
            "The blob store cannot serve now; the import goes on when it can.",
            waiting_for="blobs",
            scope="store",
        ) from error
    except BlobMissingError as error:
        raise Transient(
            "original_missing",
            "The stored original is gone. `imports retry` fetches it again.",
        ) from error
    except BlobMismatchError as error:
        raise Transient(
            "spool_changed", "The bytes on their way into the blob store were not those that were fetched."
        ) from error
    except OSError as error:
        if error.errno not in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EMFILE,
            errno.ENFILE,
            errno.EROFS,
            errno.EIO,
        ):
            raise
        raise Throttled(
            "spool_unavailable",
            "The worker's own disk or descriptors are used up; the import goes on when there is room.",
            waiting_for="spool",
            scope="store",
        ) from error


@contextlib.contextmanager
def _spooled(blobs: Blobs, key: str, spool_dir: Path) -> Iterator[BinaryIO]:
    """Open an original as a real file, which another process can be handed: in place, or in the spool."""
    with blobs.open(key) as stored:
        try:
            stored.fileno()
        except (OSError, AttributeError):
            pass
        else:
            yield stored
            return
        with spool_file(spool_dir) as spool:
            while piece := stored.read(PIECE):
                spool.write(piece)
            spool.seek(0)
            yield spool

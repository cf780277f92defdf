"""Hold documents, blobs and messages against each other and say where they do not agree.

Everything is read while the product runs. So a finding is what was seen, not yet what is: `repairing` looks
again before it acts. Blobs are listed before the documents are read, for a blob is stored before it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.blobs import BlobMissingError, Blobs
from common.blobs.seam import fits
from common.documents.claims import Claims
from common.documents.database import Document
from common.documents.groups import Groups
from common.documents.imports import Imports
from common.documents.inspection import Inspection, keys_of
from common.queue.inspection import Waiting, messages
from workers.operate.named import Named
from workers.operate.opening import Hands

STUCK = timedelta(seconds=60)  # a sweeper that runs is never so late
ORPHAN_AGE = timedelta(hours=24)  # younger blobs may be about to be named

# What is looked for, and what `imports repair` does about it.
KINDS = {
    "image_without_import": "Kept: its bytes are served. Restore its import from a backup, or leave it.",
    "image_of_canceled_import": "The image entry is removed.",
    "import_without_image": "The import is done again, from its stored original where that is whole.",
    "blob_missing": "The import is done again, from its stored original where that is whole.",
    "blob_changed": "The import is done again, from its stored original where that is whole.",
    "blob_orphaned": "The blob is removed, if nothing names it even then and nobody put it within 24 hours.",
    "import_stuck": "The import is made due and rung for.",
    "group_stuck": "The group is made due and rung for.",
    "message_without_import": "The message is taken out of its queue.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not agree: `id` is an import's, a group's, an image's, a blob's key or a message's."""

    kind: str
    id: str
    detail: str
    import_id: str | None = None
    message: Waiting | None = None


@dataclass(slots=True)
class Checked:
    """How much was looked at."""

    imports: int = 0
    groups: int = 0
    images: int = 0
    blobs: int = 0
    messages: int = 0


class Inspector:
    """One verification. `told` is called with what is being read and how much of it has been."""

    def __init__(self, hands: Hands, *, digests: bool, told: Callable[[str, int], None]) -> None:
        self._inspection, self._blobs, self._redis = Inspection(hands.db), hands.blobs, hands.redis
        self._clock, self._digests, self._told = hands.clock, digests, told
        self._sound: dict[str, str | None] = {}  # of the page in hand: images share thumbnails
        self.checked = Checked()

    def findings(self) -> Iterator[Finding]:
        """Yield what does not agree. Raises what the stores raise."""
        began = self._clock()
        named = Named()
        try:
            self._list_blobs(named)
            yield from self._images(named)
            yield from self._imports(named, began)
            yield from self._groups(began)
            for blob in named.orphans(before=began - ORPHAN_AGE):
                days = (began - blob.modified_at).days
                yield Finding("blob_orphaned", blob.key, f"{blob.size} bytes, last put {days} days ago.")
        finally:
            named.close()
        yield from self._messages()

    def named_of(self, keys: set[str]) -> set[str]:
        """Return those of the keys that a document names now: one walk over all of them."""
        found: set[str] = set()
        for pages in (
            self._inspection.images(),
            self._inspection.imports(),
        ):
            for page in pages:
                found |= {key for document in page for key in keys_of(document)} & keys
        return found

    def _list_blobs(self, named: Named) -> None:
        batch = []
        for blob in self._blobs.list(""):
            batch.append(blob)
            self.checked.blobs += 1
            if len(batch) == 1000:
                named.store(batch)
                self._told("blobs", self.checked.blobs)
                batch = []
        named.store(batch)

    def _images(self, named: Named) -> Iterator[Finding]:
        for page in self._inspection.images():
            statuses = self._inspection.statuses(image["import_id"] for image in page)
            self._sound.clear()
            for image in page:
                named.name(keys_of(image))
                yield from self._image(image, statuses.get(image["import_id"]), named)
                self.checked.images += 1
            self._told("images", self.checked.images)

    def _image(self, image: Document, status: str | None, named: Named) -> Iterator[Finding]:
        image_id, import_id = image["_id"], image["import_id"]
        if status is None:
            yield Finding("image_without_import", image_id, f"There is no import {import_id}.", import_id)
        elif status == "canceled":
            detail = f"Import {import_id} was canceled."
            yield Finding("image_of_canceled_import", image_id, detail, import_id)
        if status in (None, "succeeded"):
            for name, key, size, sha256 in parts_of(image):
                kind = self._sound.get(key, "")
                if kind == "":
                    stored = named.size(key)
                    kind = self._sound[key] = self._judged(key, stored, size, sha256)
                if kind is not None:
                    yield Finding(kind, key, f"It is the {name} of image {image_id}.", import_id)

    def _judged(self, key: str, stored: int | None, size: int, sha256: str) -> str | None:
        if self._digests or stored != size:
            return judged(self._blobs, key, size=size, sha256=sha256)
        return None

    def _imports(self, named: Named, began: datetime) -> Iterator[Finding]:
        for page in self._inspection.imports():
            there = self._inspection.image_ids(one["image_id"] for one in page if one["image_id"] is not None)
            for one in page:
                named.name(keys_of(one))
                if one["status"] == "succeeded" and one["image_id"] not in there:
                    detail = f"Image {one['image_id']} is not there."
                    yield Finding("import_without_image", one["_id"], detail, one["_id"])
                if why := stuck(one, Imports, now=began):
                    yield Finding("import_stuck", one["_id"], why, one["_id"])
            self.checked.imports += len(page)
            self._told("imports", self.checked.imports)

    def _groups(self, began: datetime) -> Iterator[Finding]:
        for page in self._inspection.groups():
            for one in page:
                if why := stuck(one, Groups, now=began):
                    yield Finding("group_stuck", one["_id"], why)
            self.checked.groups += len(page)
            self._told("groups", self.checked.groups)

    def _messages(self) -> Iterator[Finding]:
        for page in messages(self._redis):
            there: set[str | None] = set()
            there.update(
                self._inspection.statuses(one.import_id for one in page if one.import_id is not None)
            )
            there.update(self._inspection.group_ids(one.group_id for one in page if one.group_id is not None))
            for one in page:
                named = one.import_id or one.group_id
                # A question is in no document; it ends by itself within seconds.
                if not one.known or (named is not None and named not in there):
                    detail = f"On {one.queue}; it names {named or 'no import'}."
                    yield Finding("message_without_import", one.redis_message_id, detail, message=one)
            self.checked.messages += len(page)
            self._told("messages", self.checked.messages)


def parts_of(image: Document) -> Iterator[tuple[str, str, int, str]]:
    """Yield name, key, size and SHA-256 of each blob that an image names."""
    yield "original", image["original"]["key"], image["bytes"], image["sha256"]
    for one in image["thumbnails"]:
        yield f"{one['name']} thumbnail", one["key"], one["bytes"], one["sha256"]


def judged(blobs: Blobs, key: str, *, size: int, sha256: str) -> str | None:
    """Read a blob: None where it is what it should be, else the kind of finding."""
    try:
        with blobs.open(key) as stream:
            return None if fits(stream, size=size, sha256=sha256) else "blob_changed"
    except BlobMissingError:
        return "blob_missing"


def stuck(document: Document, kind: type[Claims], *, now: datetime) -> str | None:
    """Say why nobody would carry an open import or group on; None where somebody will, or it has ended."""
    stage = next((one for one in kind.stages if document["status"] in (one.before, one.doing)), None)
    if stage is None:
        return None
    due_at = document.get("due_at")
    if due_at is None:
        return "It has no time at which it is looked at again."
    if stage.name not in document.get("open", {}):
        return "It is not counted among the open ones."
    if due_at < now - STUCK:
        return f"It was due {(now - due_at).total_seconds():.0f} s ago: does a sweeper run?"
    return None

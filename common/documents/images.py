"""Keep image entries: what an import brought, and where its bytes are.

Shape: `_id, organization_id, import_id, album_id, filename, content_type, width, height, bytes, sha256,
metadatas (JSON text), original {key}, thumbnails [{name, width, height, content_type, bytes, sha256, key}],
recipe, created_at`; where they are known `format, frames, orientation (the turn that was applied), color_space,
taken_at, camera, lens, exposure, gps, placeholder, dhash, dominant_color`; and `partial` where it is true.

An entry names only blobs that were stored before it was written.
"""

from __future__ import annotations

import uuid

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database

from common.documents.database import Document, beginning_of

# What lists leave out: the first three may be as large as a request's body.
UNSENT = dict.fromkeys(("metadatas", "filename", "album_id", "placeholder"), 0)

# The namespace under which image ids are derived. Changing it would give every image a second id.
NAMESPACE = uuid.UUID("8b1f3f0a-6c52-4d2e-9a77-1d0f6a5d9c41")


def image_id_of(import_id: str) -> str:
    """Return the id of the one image that an import can ever have (UUIDv5 of the import's id)."""
    return str(uuid.uuid5(NAMESPACE, import_id))


# What is needed to hand out the bytes of an image; a name that is longer is cut in the header anyhow.
_FILE = {
    **dict.fromkeys(("organization_id", "content_type", "sha256", "original", "thumbnails"), 1),
    "filename": beginning_of("filename"),
}


class Images:
    """The workers' side."""

    def __init__(self, db: Database[Document]) -> None:
        self._images = db.images

    def record(self, image: Document) -> None:
        """Write an image entry; written twice, it is there once and its first creation time stays."""
        fields = {name: value for name, value in image.items() if name not in ("_id", "created_at")}
        self._images.update_one(
            {"_id": image["_id"]},
            {"$set": fields, "$setOnInsert": {"created_at": image["created_at"]}},
            upsert=True,
        )

    def refresh(self, image_id: str, fields: Document) -> None:
        """Put other thumbnails, and what was seen with them, in the place of those of an entry that is there."""
        self._images.update_one({"_id": image_id}, {"$set": fields})

    def after(self, image_id: str, match: Document, *, limit: int) -> list[Document]:
        """Return the next images by id, for a walk over all of them, without what callers sent."""
        found = self._images.find({**match, "_id": {"$gt": image_id}}, UNSENT).sort("_id", 1).limit(limit)
        return list(found)

    def remove(self, image_id: str) -> None:
        """Take an entry back whose import was canceled while it was being made."""
        self._images.delete_one({"_id": image_id})

    def twin_of(self, image: Document) -> str | None:
        """Return the first image of the organization with the same bytes that was recorded before this one."""
        same = {"organization_id": image["organization_id"], "sha256": image["sha256"]}
        found = self._images.find(same, {"created_at": 1}).sort([("created_at", 1), ("_id", 1)]).limit(1)
        first = next(iter(found), None)
        return None if first is None or first["_id"] == image["_id"] else str(first["_id"])

    def find(self, image_id: str) -> Document | None:
        """Return one image entry."""
        return self._images.find_one({"_id": image_id})


class ImagesAtDoor:
    """The door's side."""

    def __init__(self, db: AsyncDatabase[Document]) -> None:
        self._images = db.images

    async def find(self, image_id: str) -> Document | None:
        """Return one image entry, of whichever organization: whoever asks compares."""
        return await self._images.find_one({"_id": image_id})

    async def find_file(self, image_id: str) -> Document | None:
        """Return of one image entry what is needed to hand out its bytes, of whichever organization."""
        return await self._images.find_one({"_id": image_id}, _FILE)

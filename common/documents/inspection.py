"""Walk over every import, group and image, a bounded page at a time, to verify that they agree.

One cursor reads a collection from end to end, in no order, so nothing is sorted and nothing is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database

from common.documents.claims import WITHOUT_SENT
from common.documents.database import Document
from common.documents.images import UNSENT

PAGE = 500

_GROUP = {"history": 0}


class Inspection:
    """The operator's walk. Raises ConnectionFailure where MongoDB is away."""

    def __init__(self, db: Database[Document]) -> None:
        self._imports, self._groups, self._images = db.imports, db.import_groups, db.images

    def imports(self) -> Iterator[list[Document]]:
        """Yield all imports in pages, without parameters and history."""
        return _pages(self._imports, WITHOUT_SENT)

    def groups(self) -> Iterator[list[Document]]:
        """Yield all import groups in pages, without history."""
        return _pages(self._groups, _GROUP)

    def images(self) -> Iterator[list[Document]]:
        """Yield all image entries in pages."""
        return _pages(self._images, UNSENT)

    def statuses(self, import_ids: Iterable[str]) -> dict[str, str]:
        """Return the status of those of the imports that exist."""
        found = self._imports.find({"_id": {"$in": list(import_ids)}}, {"status": 1})
        return {one["_id"]: one["status"] for one in found}

    def group_ids(self, group_ids: Iterable[str]) -> set[str]:
        """Return those of the ids that have a group."""
        found = self._groups.find({"_id": {"$in": list(group_ids)}}, {"_id": 1})
        return {one["_id"] for one in found}

    def image_ids(self, image_ids: Iterable[str]) -> set[str]:
        """Return those of the ids that have an image entry."""
        found = self._images.find({"_id": {"$in": list(image_ids)}}, {"_id": 1})
        return {one["_id"] for one in found}

    def counts(self) -> tuple[int, int]:
        """Return about how many imports and images there are, for a progress bar."""
        return self._imports.estimated_document_count(), self._images.estimated_document_count()


def keys_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the key of every blob that an import or an image entry names."""
    if original := document.get("original"):
        yield original["key"]
    for thumbnail in document.get("thumbnails") or ():
        yield thumbnail["key"]


def _pages(collection: Collection[Document], shown: Mapping[str, Any]) -> Iterator[list[Document]]:
    found = collection.find({}, shown, batch_size=PAGE)
    while page := list(islice(found, PAGE)):
        yield page

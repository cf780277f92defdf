"""Remember which blobs are named by documents and which are stored, on disk: a library may hold millions.

A private SQLite file that the system removes with the process; nothing of it is ever read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from common.blobs import BlobInfo


class Named:
    """Keys that documents name, against keys that are stored."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE named (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute(
            "CREATE TABLE stored (key TEXT PRIMARY KEY, size INTEGER, modified REAL) WITHOUT ROWID"
        )

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def name(self, keys: Iterable[str]) -> None:
        """Note that a document names these blobs."""
        self._db.executemany("INSERT OR IGNORE INTO named VALUES (?)", ((key,) for key in keys))

    def store(self, blobs: Iterable[BlobInfo]) -> None:
        """Note that these blobs are in the store."""
        rows = ((blob.key, blob.size, blob.modified_at.timestamp()) for blob in blobs)
        self._db.executemany("INSERT OR REPLACE INTO stored VALUES (?, ?, ?)", rows)

    def size(self, key: str) -> int | None:
        """Return the size of a stored blob, None where it is not stored."""
        found = self._db.execute("SELECT size FROM stored WHERE key = ?", (key,)).fetchone()
        return None if found is None else int(found[0])

    def orphans(self, *, before: datetime) -> Iterator[BlobInfo]:
        """Yield stored blobs that nothing names and that were last put before a moment."""
        rows = self._db.execute(
            "SELECT key, size, modified FROM stored WHERE modified < ? AND key NOT IN (SELECT key FROM named)",
            (before.timestamp(),),
        )
        for key, size, modified in rows:
            yield BlobInfo(key, size, datetime.fromtimestamp(modified, UTC))

"""Check that GridFS never shows half an upload, cleans up after killed writers, and never hangs."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gridfs
import pymongo
import pytest

from common.blobs import BlobMissingError, BlobsUnavailableError
from common.blobs.gridfs import BUCKET, GridBlobs
from common.blobs.reading import open_reader
from tests.stores import free_port, run_secantus

ROOT = Path(__file__).parents[2]

# Puts a blob from a source that stops half-way, so that the writer can be killed with chunks in the store.
STALLED_WRITER = """
import io, sys, time
from common.blobs.gridfs import GridBlobs

class Stalls(io.BytesIO):
    def read(self, size=-1):
        if self.tell() >= 4 * 2**20:
            print("half-way", flush=True)
            time.sleep(60)
        return super().read(size)

size = 8 * 2**20
GridBlobs(sys.argv[1]).put(
    "org-1/originals/slow", Stalls(bytes(size)), size=size, sha256="never reached", content_type="image/png"
)
"""

LARGE = """
import hashlib, resource, sys, tempfile
from common.blobs.gridfs import GridBlobs

size = 48 * 2**20
digest = hashlib.sha256(bytes(size)).hexdigest()
blobs, key = GridBlobs(sys.argv[1]), "org-1/originals/large"
blobs.size(key)
with tempfile.TemporaryFile() as spool:
    spool.truncate(size)
    spool.seek(0, 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        blobs.put(key, spool, size=size, sha256=digest, content_type="image/tiff")
with blobs.open(key) as stream:
    while stream.read(2**20):
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.fixture
def blobs(mongodb_url: str) -> Iterator[GridBlobs]:
    store = GridBlobs(mongodb_url)
    yield store
    store.close()


@pytest.fixture
def database(mongodb_url: str) -> Iterator[Any]:
    with pymongo.MongoClient[dict[str, Any]](mongodb_url) as client:
        yield client.get_default_database()


def _put(blobs: GridBlobs, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    key = f"org-1/originals/{digest}"
    blobs.put(key, data, size=len(data), sha256=digest, content_type="image/png")
    return key


def _counts(database: Any) -> tuple[int, int]:
    return len(list(database[f"{BUCKET}.files"].find())), len(list(database[f"{BUCKET}.chunks"].find()))


def test_any_gridfs_tool_reads_what_we_wrote(blobs: GridBlobs, database: Any) -> None:
    """The layout is the standard one, with the content type where such tools look for it."""
    data = os.urandom(600 * 1024)
    key = _put(blobs, data)
    out = gridfs.GridFSBucket(database, bucket_name=BUCKET).open_download_stream_by_name(key)
    assert out.read() == data
    assert out.metadata == {"content_type": "image/png", "sha256": hashlib.sha256(data).hexdigest()}


def test_a_killed_writer_shows_nothing_and_tidy_removes_it(
    blobs: GridBlobs, database: Any, mongodb_url: str
) -> None:
    """Half an upload has no key, is removed by age, and never stands in the way of the next writer."""
    with subprocess.Popen(
        [sys.executable, "-c", STALLED_WRITER, mongodb_url],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half-way\n"
        assert _counts(database)[1] > 0
        os.kill(writer.pid, signal.SIGKILL)
    assert blobs.size("org-1/originals/slow") is None
    assert list(blobs.list("")) == []
    assert blobs.tidy(3600) == 0
    assert blobs.tidy(0) == 1
    assert _counts(database) == (0, 0)


def test_a_writer_taken_for_dead_publishes_nothing(blobs: GridBlobs, database: Any) -> None:
    """A writer that slept through a tidy must not give a key to a file whose chunks are gone."""
    tidied: list[int] = []

    class Sleepy(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            piece = super().read(size)
            if not piece:
                tidied.append(blobs.tidy(0))
            return piece

    data = os.urandom(3 * 2**20)
    digest = hashlib.sha256(data).hexdigest()
    key = f"org-1/originals/{digest}"
    with pytest.raises(BlobsUnavailableError, match="upload_abandoned"):
        blobs.put(key, Sleepy(data), size=len(data), sha256=digest, content_type="image/png")
    assert sum(tidied) == 1
    assert blobs.size(key) is None
    assert _counts(database) == (0, 0)
    assert blobs.read(_put(blobs, data)) == data


def test_a_deletion_that_was_killed_is_finished_by_tidy(blobs: GridBlobs, database: Any) -> None:
    """A file that has lost its name but not yet its chunks is no blob, and does not stay."""
    key = _put(blobs, os.urandom(600 * 1024))
    database[f"{BUCKET}.files"].update_one({"filename": key}, {"$set": {"filename": "~retired/x"}})
    assert blobs.size(key) is None
    assert blobs.tidy(0) == 1
    assert _counts(database) == (0, 0)


def test_a_blob_without_its_chunks_is_mended(blobs: GridBlobs, database: Any) -> None:
    """A file document whose bytes are gone counts as bad: a reader is told, the next put replaces it."""
    data = os.urandom(600 * 1024)
    key = _put(blobs, data)
    database[f"{BUCKET}.chunks"].delete_one({"n": 1})
    with pytest.raises(BlobMissingError):
        blobs.read(key)
    _put(blobs, data)
    assert blobs.read(key) == data
    assert _counts(database) == (1, 3)


def test_a_large_blob_is_never_held_in_memory(mongodb_url: str) -> None:
    """48 MB go in and come out while the writer grows by far less: chunks travel some at a time."""
    done = subprocess.run(
        [sys.executable, "-c", LARGE, mongodb_url],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert int(done.stdout) < 30


def test_a_store_that_is_not_there_is_unavailable() -> None:
    """Nothing listens: every verb says so within the time limits, and keeps the address to itself."""
    port = free_port()
    blobs = GridBlobs(f"mongodb://127.0.0.1:{port}/absent")
    with pytest.raises(BlobsUnavailableError, match="unreachable") as failure:
        blobs.size("org-1/originals/x")
    assert str(port) not in str(failure.value)
    blobs.close()

    async def read_as_the_door() -> None:
        reader = open_reader("gridfs://", mongodb_url=f"mongodb://127.0.0.1:{port}/absent")
        try:
            with pytest.raises(BlobsUnavailableError, match="unreachable"):
                await reader.stream("org-1/originals/x")
        finally:
            await reader.close()

    asyncio.run(read_as_the_door())


def test_a_store_killed_in_mid_upload_heals(tmp_path: Path) -> None:
    """The put that was cut off is unavailable; the same put succeeds once the store is back."""
    data = os.urandom(6 * 2**20)
    with run_secantus(tmp_path / "store") as server:
        blobs = GridBlobs(server.url.replace("/?", "/blobs?"))

        class Kills(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell() == 3 * 255 * 1024 * 4:
                    os.kill(server.pid, signal.SIGKILL)
                return super().read(size)

        digest = hashlib.sha256(data).hexdigest()
        key = f"org-1/originals/{digest}"
        with pytest.raises(BlobsUnavailableError, match="unreachable"):
            blobs.put(key, Kills(data), size=len(data), sha256=digest, content_type="image/png")
    with run_secantus(tmp_path / "store", port=server.port):
        deadline = time.monotonic() + 30
        while True:
            try:
                assert blobs.size(key) is None
                break
            except BlobsUnavailableError:
                assert time.monotonic() < deadline
        assert blobs.read(_put(blobs, data)) == data
        assert blobs.tidy(0) == 1
        blobs.close()

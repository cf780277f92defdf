"""One suite for every blob store: the promises of `Blobs` and of the reader, over the real things.

S3 is spoken to a bucket played on loopback, or to the real one that TEST_S3_URL names (with the provider's
usual environment).
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from common.blobs import BlobMismatchError, BlobMissingError, Blobs, open_blobs
from common.blobs.reading import BlobReader, open_reader
from tests.bucket import run_bucket

T = TypeVar("T")
STORES = ["file", "memory", "gridfs", "s3"]


@dataclass(frozen=True, slots=True)
class Store:
    """A blob store under test, and the means to open it again as another process would."""

    url: str
    mongodb_url: str
    blobs: Blobs
    organization_id: str

    def put(self, data: bytes, *, kind: str = "originals") -> str:
        key = self.key(data, kind=kind)
        self.blobs.put(key, data, size=len(data), sha256=_sha256(data), content_type="image/png")
        return key

    def key(self, data: bytes, *, kind: str = "originals") -> str:
        return f"{self.organization_id}/{kind}/{_sha256(data)}"

    def read_as_the_door(self, key: str) -> tuple[int, bytes]:
        async def read(reader: BlobReader) -> tuple[int, bytes]:
            size, body = await reader.stream(key)
            return size, b"".join([piece async for piece in body])

        return self.with_reader(read)

    def with_reader(self, use: Callable[[BlobReader], Awaitable[T]]) -> T:
        async def run() -> T:
            reader = open_reader(self.url, mongodb_url=self.mongodb_url)
            try:
                return await use(reader)
            finally:
                await reader.close()

        return asyncio.run(run())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def bucket_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with run_bucket() as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        yield "s3://blobs/below/here"


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    mongodb_url = "mongodb://127.0.0.1:1/unused"
    match request.param:
        case "file":
            url = (tmp_path / "a folder" / "blobs").as_uri()
        case "memory":
            url = f"memory://{uuid.uuid4().hex}"
        case "gridfs":
            url, mongodb_url = "gridfs://", request.getfixturevalue("mongodb_url")
        case _:
            url = os.environ.get("TEST_S3_URL") or request.getfixturevalue("bucket_url")
    blobs = open_blobs(url, mongodb_url=mongodb_url)
    organization_id = f"org-{uuid.uuid4()}"
    yield Store(url, mongodb_url, blobs, organization_id)
    for info in list(blobs.list(organization_id)):
        blobs.delete(info.key)
    blobs.close()


# Below, at and above a GridFS chunk, a piece, a range and a part.
@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 255 * 1024 + 1, 4 * 2**20, 9 * 2**20 + 7])
def test_bytes_come_back_as_they_went_in(store: Store, size: int) -> None:
    """Whatever the size, a worker's stream, its plain read and the door's stream give the very bytes."""
    data = os.urandom(size)
    key = store.put(data)
    assert store.blobs.size(key) == size
    assert store.blobs.read(key) == data
    with store.blobs.open(key) as stream:
        assert stream.read(10) == data[:10]
        stream.seek(size // 2)
        assert stream.read() == data[size // 2 :]
        assert stream.read(1) == b""
    assert store.read_as_the_door(key) == (size, data)


@pytest.mark.parametrize("size", [5, 9 * 2**20])
def test_a_stream_is_stored_from_its_beginning(store: Store, size: int) -> None:
    """A spool file that was just hashed stands at its end; its blob must not be empty."""
    data = os.urandom(size)
    with tempfile.TemporaryFile(buffering=0) as spool:  # unbuffered: reads may come short
        spool.write(data)
        store.blobs.put(store.key(data), spool, size=size, sha256=_sha256(data), content_type="image/png")
    assert store.blobs.read(store.key(data)) == data


def test_what_is_not_there_is_said_to_be_missing(store: Store) -> None:
    """A blob that was never put, or was deleted, is missing for workers and door, and never an empty one."""
    key = store.put(b"gone soon")
    store.blobs.delete(key)
    store.blobs.delete(key)
    for absent in (key, store.key(b"never")):
        assert store.blobs.size(absent) is None
        with pytest.raises(BlobMissingError):
            store.blobs.read(absent)
        with pytest.raises(BlobMissingError), store.blobs.open(absent):
            pass
        with pytest.raises(BlobMissingError):
            store.read_as_the_door(absent)


def test_bytes_other_than_announced_are_not_stored(store: Store) -> None:
    """A source that changed, grew or was cut since it was hashed never gets the name of what it should be."""
    data = os.urandom(9 * 2**20)
    for wrong in (data[:-1], data + b"x", b"X" + data[1:], b""):
        for source in (wrong, io.BytesIO(wrong)):
            with pytest.raises(BlobMismatchError):
                store.blobs.put(
                    store.key(data), source, size=len(data), sha256=_sha256(data), content_type="a/b"
                )
            assert store.blobs.size(store.key(data)) is None
    assert store.blobs.tidy(0) == 0
    assert list(store.blobs.list("")) == []


@pytest.mark.parametrize("bad", [b"", b"cut", b"same length, other"], ids=["empty", "cut", "changed"])
def test_a_bad_blob_in_place_is_replaced(store: Store, bad: bytes) -> None:
    """What an earlier crash, a full disk or a hand left under the key never stands for the real bytes."""
    good = b"the right contents"
    key = store.key(good)
    store.blobs.put(key, bad, size=len(bad), sha256=_sha256(bad), content_type="image/png")
    store.put(good)
    assert store.blobs.read(key) == good
    assert [info.size for info in store.blobs.list(store.organization_id)] == [len(good)]


def test_putting_again_renews_the_age(store: Store) -> None:
    """A collector that removes what is old must not take what a running import has just named."""
    key = store.put(b"shared by two imports")
    (before,) = store.blobs.list(store.organization_id)
    time.sleep(0.05)
    assert store.put(b"shared by two imports") == key
    (after,) = store.blobs.list(store.organization_id)
    assert after.modified_at > before.modified_at
    assert (after.key, after.size) == (before.key, before.size)


def test_listing_keeps_to_whole_segments(store: Store) -> None:
    """Listing one organization never shows another one whose id begins alike."""
    mine = {store.put(b"1"), store.put(b"22"), store.put(b"22", kind="thumbnails")}
    other = f"{store.organization_id}-2/originals/{_sha256(b'3')}"
    store.blobs.put(other, b"3", size=1, sha256=_sha256(b"3"), content_type="image/png")
    assert {info.key for info in store.blobs.list(store.organization_id)} == mine
    assert {info.key for info in store.blobs.list(f"{store.organization_id}/originals/")} == {
        store.key(b"1"),
        store.key(b"22"),
    }
    assert {info.key for info in store.blobs.list("")} >= mine | {other}
    assert {info.size for info in store.blobs.list(store.organization_id)} == {1, 2}
    assert all(info.modified_at.utcoffset() is not None for info in store.blobs.list(store.organization_id))
    store.blobs.delete(other)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a",
        "/a/b",
        "../b/c",
        "a/../b",
        "a/./b",
        "a//b",
        "a/b/",
        "A/b",
        "a/.b",
        "a/b\n",
        "a/b\0",
        "a\\b/c",
        "~a/b",
    ],
)
def test_a_key_cannot_leave_its_place(store: Store, key: str) -> None:
    """No key made of anything but plain segments reaches a store, to read or to write."""
    with pytest.raises(ValueError, match="blob key"):
        store.blobs.put(key, b"", size=0, sha256=_sha256(b""), content_type="image/png")
    with pytest.raises(ValueError, match="blob key"):
        store.blobs.read(key)
    with pytest.raises(ValueError, match="blob key"):
        store.blobs.delete(key)
    with pytest.raises(ValueError, match="blob key"):
        store.read_as_the_door(key)


def test_many_writers_of_one_blob_agree(store: Store) -> None:
    """Imports of one picture at the same moment all succeed, also over a bad blob, and leave one good blob."""
    good = os.urandom(600 * 1024)
    key = store.key(good)
    store.blobs.put(key, b"bad", size=3, sha256=_sha256(b"bad"), content_type="image/png")
    failures: list[Exception] = []

    def write() -> None:
        try:
            store.put(good)
            assert store.blobs.read(key) == good
        except Exception as failure:  # noqa: BLE001 - shown by the assertion below
            failures.append(failure)

    writers = [threading.Thread(target=write) for _ in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    assert [info.size for info in store.blobs.list(store.organization_id)] == [len(good)]
    assert store.blobs.tidy(0) == 0


def test_a_body_can_be_given_up(store: Store) -> None:
    """A client that leaves, before the first byte or after it, leaves nothing open (a warning would fail this)."""
    key = store.put(os.urandom(3 * 2**20))

    async def give_up(reader: BlobReader) -> None:
        _size, untouched = await reader.stream(key)
        await untouched.close()
        _size, begun = await reader.stream(key)
        assert await anext(begun)
        await begun.close()
        await begun.close()

    store.with_reader(give_up)


def test_a_blob_is_removed_only_while_it_is_old(store: Store) -> None:
    """Whoever removes what nobody names compares its age: a blob that was put since a moment stays."""
    key = store.put(b"old once")
    put_at = next(iter(store.blobs.list(store.organization_id))).modified_at
    assert store.blobs.delete_older(key, put_at) is False
    assert store.blobs.size(key) == 8
    assert store.blobs.delete_older(key, put_at + timedelta(seconds=1.5)) is True
    assert store.blobs.size(key) is None
    assert store.blobs.delete_older(key, put_at + timedelta(days=1)) is False


def test_a_put_makes_a_blob_too_young_to_be_removed(store: Store) -> None:
    """The put that comes between the look at a blob and its removal saves it."""
    key = store.put(b"named again")
    seen = next(iter(store.blobs.list(store.organization_id))).modified_at
    time.sleep(1.1)  # some stores keep whole seconds
    store.put(b"named again")
    assert store.blobs.delete_older(key, seen + timedelta(seconds=0.5)) is False
    assert store.blobs.read(key) == b"named again"

"""Check that a folder of blobs survives killed writers, full and broken disks, with nothing half-written in it."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.blobs import BlobMissingError, BlobsUnavailableError, open_blobs, publishing
from common.blobs.files import FileBlobs, folder_of
from common.blobs.reading import open_reader

ROOT = Path(__file__).parents[3]
DATA = b"some bytes"
SHA256 = hashlib.sha256(DATA).hexdigest()
KEY = f"org-1/originals/{SHA256}"

# One process without threads forks the writers: a start of Python for each would cost more than the test.
KILLED_WRITERS = """
import hashlib, os, random, signal, sys, time
from pathlib import Path
from common.blobs import publishing
from common.blobs.files import FileBlobs

root, staged = Path(sys.argv[1]), sys.argv[2] == "staged"
if staged:
    publishing._open_unnamed = lambda folder: None
randomness, blobs, in_put = random.Random(20), FileBlobs(root), 0
for number in range(40):
    told, tell = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            while True:
                data = os.urandom(4) * 2**20
                digest = hashlib.sha256(data).hexdigest()
                os.write(tell, b"<")
                key = f"org-{number % 3}/originals/{digest}"
                blobs.put(key, data, size=len(data), sha256=digest, content_type="image/png")
                os.write(tell, b">")
        finally:
            os.write(tell, b"!")
            os._exit(1)
    os.close(tell)
    os.read(told, 1)
    time.sleep(randomness.random() * 0.04)
    if staged:
        blobs.tidy(0)  # beside a living writer
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    said = b"<"
    while more := os.read(told, 4096):
        said += more
    os.close(told)
    assert b"!" not in said, "a writer failed before it was killed"
    in_put += said.endswith(b"<")
print(in_put)
"""


def _put(blobs: FileBlobs, data: bytes = DATA) -> str:
    digest = hashlib.sha256(data).hexdigest()
    key = f"org-1/originals/{digest}"
    blobs.put(key, data, size=len(data), sha256=digest, content_type="image/png")
    return key


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs")


@pytest.fixture
def without_unnamed_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand on a system that has no O_TMPFILE."""
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)


@pytest.mark.parametrize("way", ["unnamed", "staged"])
def test_a_writer_killed_at_any_instant_leaves_only_whole_blobs(tmp_path: Path, way: str) -> None:
    """Forty writers are killed in mid-put: whatever has a name is whole, and nothing else is left."""
    if way == "unnamed" and not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no nameless files")
    root = tmp_path / "blobs"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WRITERS, str(root), way],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert int(done.stdout) >= 20, "too few kills fell into a put to prove anything"
    blobs = FileBlobs(root)
    if way == "unnamed":
        assert not (root / publishing.STAGING).exists()
    else:
        blobs.tidy(0)
        assert _files(root / publishing.STAGING) == []
    kept = _files(root)
    assert kept
    assert [path for path in kept if hashlib.sha256(path.read_bytes()).hexdigest() != path.name] == []
    assert {info.key for info in blobs.list("")} == {path.relative_to(root).as_posix() for path in kept}


@pytest.mark.usefixtures("without_unnamed_files")
def test_a_system_without_nameless_files_publishes_as_well(blobs: FileBlobs, tmp_path: Path) -> None:
    """Elsewhere than on Linux bytes are staged and renamed, over a bad blob too, and no staged file stays."""
    key = _put(blobs)
    (tmp_path / "blobs" / key).write_bytes(b"damaged")
    assert _put(blobs) == key
    assert blobs.read(key) == DATA
    assert len(_files(tmp_path / "blobs")) == 1
    assert [info.key for info in blobs.list("")] == [key]


@pytest.mark.usefixtures("without_unnamed_files")
def test_tidy_leaves_what_a_writer_holds_or_what_is_young(blobs: FileBlobs, tmp_path: Path) -> None:
    """A slow writer never loses its staged bytes to a tidy, nor a person theirs before the age they gave."""
    staging = tmp_path / "blobs" / publishing.STAGING
    staging.mkdir(parents=True)
    (staging / "abandoned").write_bytes(b"x")
    with (staging / "held").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert blobs.tidy(3600) == 0
        assert blobs.tidy(0) == 1
        assert [path.name for path in _files(staging)] == ["held"]
    assert blobs.tidy(0) == 1
    assert blobs.tidy(0) == 0


def test_bytes_and_folders_are_synced_before_put_returns(
    blobs: FileBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after `put` costs neither bytes nor name: all is synced, the bytes before they are named."""
    synced: list[tuple[str, bool]] = []
    sync = os.fsync

    def watch(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), (tmp_path / "blobs" / KEY).exists()))
        sync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not tell which file a descriptor is")
    monkeypatch.setattr(os, "fsync", watch)
    _put(blobs)
    root = tmp_path / "blobs"
    named_after = [path for path, named in synced if named]
    assert named_after == [str(root / "org-1/originals"), str(root / "org-1"), str(root)]
    before = [path for path, named in synced if not named]
    assert before[:3] == [str(tmp_path), str(root), str(root / "org-1")]  # each holds a folder just made
    assert len(before) == 4  # and last the bytes, in a file without a name
    synced.clear()
    _put(blobs)
    assert [path for path, _named in synced] == named_after, "found in place: another's name may be unsynced"


def test_only_the_first_blob_of_a_folder_syncs_the_folders_above(
    blobs: FileBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further one costs two syncs, of its bytes and of its name; folders that were made anew are synced again."""
    synced: list[str] = []
    sync = os.fsync

    def watch(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not tell which file a descriptor is")
    _put(blobs)
    monkeypatch.setattr(os, "fsync", watch)
    digest = hashlib.sha256(b"another").hexdigest()
    another = {"size": 7, "sha256": digest, "content_type": "image/png"}
    blobs.put(f"org-1/originals/{digest}", b"another", **another)
    assert len(synced) == 2
    assert synced[-1] == "originals"
    (tmp_path / "blobs/org-1").rename(tmp_path / "aside")  # removed, its number might be given again
    (tmp_path / "blobs/org-1/originals").mkdir(parents=True)
    synced.clear()
    blobs.put(f"org-1/originals/{digest}", b"another", **another)
    assert synced[-3:] == ["originals", "org-1", "blobs"]


def test_a_large_blob_is_never_held_in_memory(tmp_path: Path) -> None:
    """200 MB go in and come out within a tenth of that memory, or a few imports would end the worker."""
    script = """
    import hashlib, resource, sys, tempfile
    from pathlib import Path
    from common.blobs.files import FileBlobs

    size = 200 * 2**20
    digest = hashlib.sha256()
    for _ in range(200):
        digest.update(bytes(2**20))
    blobs, key = FileBlobs(Path(sys.argv[1])), "org-1/originals/large"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryFile() as spool:
        spool.truncate(size)
        for _ in range(2):
            blobs.put(key, spool, size=size, sha256=digest.hexdigest(), content_type="image/tiff")
    with blobs.open(key) as stream:
        while stream.read(2**20):
            pass
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert int(done.stdout) < 20


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted without being root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount command")
def test_a_full_disk_is_a_store_to_wait_for(tiny_disk: Path) -> None:
    """ENOSPC leaves nothing behind, blames the store and not the import, and heals with the space."""
    blobs = FileBlobs(tiny_disk / "blobs")
    (tiny_disk / "ballast").write_bytes(bytes(900 * 1024))
    data = os.urandom(300 * 1024)
    with pytest.raises(BlobsUnavailableError) as failure:
        _put(blobs, data)
    assert failure.value.reason == "ENOSPC"
    assert _files(tiny_disk / "blobs") == []
    (tiny_disk / "ballast").unlink()
    assert blobs.read(_put(blobs, data)) == data


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount command")
def test_a_read_only_disk_serves_and_refuses(tiny_disk: Path) -> None:
    """What is stored can still be read; a new put waits, with the kind of the fault and without the path."""
    blobs = FileBlobs(tiny_disk / "blobs")
    key = _put(blobs)
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    assert blobs.read(key) == DATA
    with pytest.raises(BlobsUnavailableError) as failure:
        _put(blobs, b"new")
    assert failure.value.reason == "EROFS"
    assert str(tiny_disk) not in str(failure.value)


def test_a_limit_on_file_sizes_is_a_store_to_wait_for(blobs: FileBlobs, tmp_path: Path) -> None:
    """A write that breaks off in the middle (here at RLIMIT_FSIZE) gives no name to what was written."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(BlobsUnavailableError) as failure:
            _put(blobs, bytes(300_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failure.value.reason == "EFBIG"
    assert _files(tmp_path / "blobs") == []


@pytest.mark.usefixtures("without_unnamed_files")
@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT])
def test_a_disk_that_fails_to_sync_stores_nothing(
    blobs: FileBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Bytes whose sync failed may be gone after the next start: they are neither named nor left staged."""

    def fail(descriptor: int) -> None:
        if os.fstat(descriptor).st_size == len(DATA):
            raise OSError(code, "from the disk")
        original(descriptor)

    original = os.fsync
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BlobsUnavailableError) as failure:
        _put(blobs)
    assert failure.value.reason == errno.errorcode[code]
    assert _files(tmp_path / "blobs") == []


def test_a_disk_that_fails_to_read_is_no_missing_blob(blobs: FileBlobs, tmp_path: Path) -> None:
    """EIO while a blob is read waits for the disk; only a file that is not there is missing."""
    if not Path("/proc/self/mem").exists():
        pytest.skip("no file of this system fails with EIO by itself")
    (tmp_path / "blobs/org-1/originals").mkdir(parents=True)
    (tmp_path / "blobs" / KEY).symlink_to("/proc/self/mem")
    with pytest.raises(BlobsUnavailableError, match="EIO"), blobs.open(KEY) as stream:
        stream.read(1)

    async def read_as_the_door() -> None:
        _size, body = await open_reader((tmp_path / "blobs").as_uri(), mongodb_url="").stream(KEY)
        try:
            with pytest.raises(BlobsUnavailableError, match="EIO"):
                await anext(body)
        finally:
            await body.close()

    asyncio.run(read_as_the_door())
    (tmp_path / "blobs" / KEY).unlink()
    with pytest.raises(BlobMissingError):
        blobs.read(KEY)


def test_a_root_that_is_no_folder_is_unavailable(tmp_path: Path) -> None:
    """A mount that went wrong must make imports wait, not fail."""
    (tmp_path / "blobs").write_bytes(b"a file")
    with pytest.raises(BlobsUnavailableError):
        _put(FileBlobs(tmp_path / "blobs"))


def test_two_menders_of_a_bad_blob_do_not_undo_each_other(
    blobs: FileBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower of two writers that both saw a bad blob keeps its hands off the good one put meanwhile."""
    key = _put(blobs)
    target = tmp_path / "blobs" / key
    target.write_bytes(b"damaged")
    with target.open("rb") as seen_as_bad:
        _put(blobs)
        mended = target.stat().st_ino
        publishing.remove_if_same(target, seen_as_bad.fileno())
    assert target.stat().st_ino == mended
    assert blobs.read(key) == DATA


def test_blobs_are_deleted_while_they_are_put(blobs: FileBlobs) -> None:
    """A put that returned after the last delete has stored its bytes, however the two interleaved before."""
    ended = threading.Event()

    def delete() -> None:
        while not ended.is_set():
            blobs.delete(KEY)

    deleter = threading.Thread(target=delete)
    deleter.start()
    for _ in range(50):
        _put(blobs)
    ended.set()
    deleter.join()
    _put(blobs)
    assert blobs.read(KEY) == DATA


def test_a_file_url_names_an_absolute_folder(tmp_path: Path) -> None:
    """Spaces come decoded; a URL with two slashes, whose first folder would be a host, is refused at the start."""
    assert folder_of("file:///var/lib/a%20b") == Path("/var/lib/a b")
    for wrong in ("file://var/lib", "file:relative"):
        with pytest.raises(ValueError, match="three slashes"):
            open_blobs(wrong, mongodb_url="")

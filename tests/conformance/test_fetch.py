"""The fetch stage says a record is fetched only when its bytes are kept, and leaves nothing else behind."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from common.blobs import Blobs, BlobsUnavailableError, open_blobs
from tests.conformance.organization import PICTURE, World, in_time
from workers.failures import Failure, Interrupted, Permanent, Throttled, Transient
from workers.stages.fetch import Original, fetch


class Full:
    """A store that has no room."""

    def put(self, key: str, source: BinaryIO, *, size: int, sha256: str, content_type: str) -> None:
        raise BlobsUnavailableError("ENOSPC")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return open_blobs(f"file://{tmp_path}/blobs", mongodb_url="")


def run(
    world: World,
    record_id: str,
    *,
    blobs: Any,
    spool: Path,
    source_type: str = "salesforce",
    stopping: threading.Event | None = None,
) -> Original:
    return fetch(
        organization_id="org",
        source_type=source_type,
        record_id=record_id,
        source=world.source,
        blobs=blobs,
        spool_dir=spool,
        max_bytes=1 << 24,
        deadline=in_time(10, stopping),
    )


def test_an_original_is_kept_under_its_content(world: World, blobs: Blobs, tmp_path: Path) -> None:
    """The blob is in place, named by organization and digest, before the stage returns; no file remains."""
    spool = tmp_path / "spool" / "new"
    digest = hashlib.sha256(PICTURE).hexdigest()
    original = run(world, world.add(name="boat.png", ContentType="image/x"), blobs=blobs, spool=spool)
    assert original == Original(
        key=f"org/originals/{digest}",
        bytes=len(PICTURE),
        sha256=digest,
        content_type="image/x",
        filename="boat.png",
        calls=2,
    )
    assert blobs.read(original.key) == PICTURE
    assert [kept.key for kept in blobs.list("")] == [original.key]
    assert list(spool.iterdir()) == []


def test_a_short_id_is_fetched_by_its_canonical_form(world: World, blobs: Blobs, tmp_path: Path) -> None:
    """Fifteen characters name the same record."""
    record_id = world.add()
    assert run(world, record_id[:15], blobs=blobs, spool=tmp_path).bytes == len(PICTURE)


def test_nothing_is_kept_of_a_spoilt_body(world: World, blobs: Blobs, tmp_path: Path) -> None:
    """A failed attempt leaves neither blob nor spool file."""
    record_id = world.add()
    world.spoil("truncate", path="/Body$")
    with pytest.raises(Transient):
        run(world, record_id, blobs=blobs, spool=tmp_path / "spool")
    assert list(blobs.list("")) == []
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize(
    ("named", "code"),
    [
        (("dropbox", "00P4I00000zyw3eUAA"), "import_type_unknown"),
        (("salesforce", "https://evil.example/x"), "attachment_id_invalid"),
        (("salesforce", ""), "attachment_missing"),
    ],
)
def test_what_the_door_would_refuse_is_refused_here_too(
    world: World, blobs: Blobs, tmp_path: Path, named: tuple[str, str], code: str
) -> None:
    """A document from before the door's present rules fails without a call."""
    source_type, record_id = named
    with pytest.raises(Permanent) as caught:
        run(world, record_id, blobs=blobs, spool=tmp_path, source_type=source_type)
    assert caught.value.code == code
    assert not world.server.api.calls


def test_a_store_without_room_leaves_nothing_in_the_spool(world: World, tmp_path: Path) -> None:
    """What the blobs raise is for the caller to judge, and the file in work is gone all the same."""
    with pytest.raises(BlobsUnavailableError):
        run(world, world.add(), blobs=Full(), spool=tmp_path / "spool")
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_folder_that_cannot_be_written_makes_the_import_wait(
    world: World, blobs: Blobs, tmp_path: Path
) -> None:
    """A spool folder that is none is the store's trouble and no import's."""
    (tmp_path / "file").touch()
    with pytest.raises(Throttled) as caught:
        run(world, world.add(), blobs=blobs, spool=tmp_path / "file")
    assert (caught.value.scope, caught.value.waiting_for) == ("store", "spool")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_makes_the_import_wait(world: World) -> None:
    """No space left while writing is told from a broken connection, though both are an OSError."""
    visit = world.source.visit(world.add(), deadline=in_time())
    record = visit.describe()
    with pytest.raises(Throttled) as caught, Path("/dev/full").open("wb", buffering=0) as full:
        visit.stream(record, full, max_bytes=1 << 24)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.scope, caught.value.waiting_for) == (
        "spool_unavailable",
        "store",
        "spool",
    )
    assert "is full" in caught.value.detail


def test_a_worker_that_stops_begins_nothing(world: World, blobs: Blobs, tmp_path: Path) -> None:
    """With the order to stop already given, not one call is made."""
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Failure) as caught:
        run(world, "00P4I00000zyw3eUAA", blobs=blobs, spool=tmp_path, stopping=stopping)
    assert isinstance(caught.value, Interrupted)
    assert not world.server.api.calls

"""The render stage stores every thumbnail before it tells of one."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

import pytest

from common.blobs import Blobs, BlobsUnavailableError, open_blobs
from tests.unit.workers.pictures import quadrants, saved
from workers.failures import Permanent, Throttled
from workers.imaging.limits import Limits
from workers.imaging.reading import prepare
from workers.imaging.recipe import render as render_here
from workers.imaging.rendering import Rendering
from workers.imaging.variants import Recipe
from workers.stages.render import render

ORGANIZATION = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"


class Here:
    """A decoder in this process; the real one is another test's."""

    def render(
        self, original: BinaryIO, *, stopping: threading.Event, recipe: Recipe | None = None
    ) -> Rendering:
        original.seek(0)
        prepare()
        return render_here(original.read(), limits=Limits(), recipe=recipe)


class Full:
    """A store without space after its first blob."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs, self._left = blobs, 1

    def put(self, key: str, source: bytes | BinaryIO, *, size: int, sha256: str, content_type: str) -> None:
        if not self._left:
            raise BlobsUnavailableError("ENOSPC")
        self._left -= 1
        self._blobs.put(key, source, size=size, sha256=sha256, content_type=content_type)


@pytest.fixture
def blobs() -> Iterator[Blobs]:
    store = open_blobs("memory://", mongodb_url="")
    yield store
    store.close()


@pytest.fixture
def original() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        file.write(saved(quadrants((1600, 1200)), "JPEG"))
        yield file


def test_what_is_told_is_stored(blobs: Blobs, original: BinaryIO) -> None:
    """Each thumbnail can be read under its key, inside the organization, named after its content."""
    rendered = render(
        organization_id=ORGANIZATION,
        original=original,
        decoder=Here(),
        blobs=blobs,
        stopping=threading.Event(),
    )
    assert (rendered.width, rendered.height, rendered.format) == (1600, 1200, "JPEG")
    assert [(each.name, each.width, each.height) for each in rendered.thumbnails] == [
        ("large", 1280, 960),
        ("medium", 480, 360),
        ("small", 160, 120),
    ]
    for each in rendered.thumbnails:
        data = blobs.read(each.key)
        assert each.key == f"{ORGANIZATION}/thumbnails/{each.sha256}"
        assert (len(data), hashlib.sha256(data).hexdigest()) == (each.bytes, each.sha256)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("keep", {"latitude": 52.37021, "longitude": -4.89517, "altitude": 12.5}),
        ("round", {"latitude": 52.37, "longitude": -4.9}),
        ("drop", None),
    ],
)
def test_a_place_is_kept_as_far_as_the_policy_allows(
    blobs: Blobs, original: BinaryIO, policy: str, kept: dict[str, float] | None
) -> None:
    """What is not to be kept never leaves the stage."""

    class There(Here):
        def render(
            self, original: BinaryIO, *, stopping: threading.Event, recipe: Recipe | None = None
        ) -> Rendering:
            place = {"latitude": 52.37021, "longitude": -4.89517, "altitude": 12.5}
            return replace(super().render(original, stopping=stopping, recipe=recipe), gps=place)

    rendered = render(
        organization_id=ORGANIZATION,
        original=original,
        decoder=There(),
        blobs=blobs,
        stopping=threading.Event(),
        gps_policy=policy,
    )
    assert rendered.gps == kept


def test_a_second_run_finds_its_own_thumbnails(blobs: Blobs, original: BinaryIO) -> None:
    """A worker that died before the record is written is repeated without a trace."""
    first, second = (
        render(
            organization_id=ORGANIZATION,
            original=original,
            decoder=Here(),
            blobs=blobs,
            stopping=threading.Event(),
        )
        for _ in range(2)
    )
    assert first == second
    assert len(list(blobs.list(f"{ORGANIZATION}/thumbnails/"))) == 3


def test_a_full_store_makes_the_import_wait(blobs: Blobs, original: BinaryIO) -> None:
    """Nothing is told of a picture whose thumbnails are not all stored, and no attempt is counted."""
    with pytest.raises(Throttled) as caught:
        render(
            organization_id=ORGANIZATION,
            original=original,
            decoder=Here(),
            blobs=Full(blobs),  # type: ignore[arg-type]  # the stage only puts
            stopping=threading.Event(),
        )
    assert (caught.value.scope, caught.value.waiting_for) == ("store", "blobs")


def test_a_refusal_stores_nothing(blobs: Blobs) -> None:
    """A bad picture leaves no blob."""
    another = "9a1e28ba-2fa1-41d2-883f-0016d3cca427"
    with tempfile.TemporaryFile() as file:
        file.write(b"%PDF-1.7")
        with pytest.raises(Permanent):
            render(
                organization_id=another,
                original=file,
                decoder=Here(),
                blobs=blobs,
                stopping=threading.Event(),
            )
    assert list(blobs.list(f"{another}/thumbnails/")) == []

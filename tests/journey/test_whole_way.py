"""HTTP in, image out: real processes from the Procfile, real stores, a simulated Salesforce."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.world import SIZES, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world"), environ={"TIME_ZONE": "Europe/Paris"}) as world:
        yield world


def test_the_samples_become_images(world: World) -> None:
    """Each sample picture that is posted ends as one image with three readable thumbnails, and nothing is left."""
    samples = world.samples()
    for name, attachment_id in samples.items():
        assert world.post(attachment_id, name).status_code == 200
    world.rest()
    world.idle()
    assert world.audit().faults() == {}
    assert len(world.accepted) == len(samples) == 12


def test_an_image_tells_where_its_files_are(world: World) -> None:
    """The image of an import names an original and three thumbnails, which the same token opens."""
    name, attachment_id = next(iter(world.samples().items()))
    import_id = world.submit(attachment_id, name)
    world.rest([import_id])
    shown = world.get(import_id)
    assert list(shown)[:8] == [
        "id",
        "organization_id",
        "image_id",
        "import_type",
        "album_id",
        "params",
        "created_at",
        "updated_at",
    ]
    assert shown["status"] == "succeeded"
    image = world.image(shown["image_id"])
    assert image["import_id"] == import_id
    assert [thumbnail["name"] for thumbnail in image["thumbnails"]] == list(SIZES)
    for thumbnail in image["thumbnails"]:
        assert max(thumbnail["width"], thumbnail["height"]) <= SIZES[thumbnail["name"]]
        assert world.blob(thumbnail["url"]).headers["Content-Type"] == thumbnail["content_type"]

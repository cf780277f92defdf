"""Files of one's own are rendered by the same recipe, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.workers.pictures import quadrants, saved, seen
from workers.failures import Permanent
from workers.imaging.limits import Limits
from workers.imaging.local import product, rendering


def test_a_file_gives_what_an_import_would(tmp_path: Path) -> None:
    """The bytes are those of the recipe, by the names of the thumbnails."""
    picture = tmp_path / "picture.tif"
    picture.write_bytes(saved(quadrants((700, 500)), "TIFF"))
    wanted = seen(picture.read_bytes())
    assert rendering(picture) == wanted
    assert product(str(picture)) == {each.name: each.data for each in wanted.variants}


def test_a_file_is_refused_as_an_import_would_be(tmp_path: Path) -> None:
    """With its code, and by the limits that are given."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(saved(quadrants((700, 500)), "PNG"))
    with pytest.raises(Permanent) as caught:
        rendering(picture, limits=Limits(pixels=1000))
    assert caught.value.code == "image_too_large"

"""Thumbnails by another recipe, in the whole product: ordered by the command, made by the render process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from tests.unit.workers.pictures import saved, turned
from tests.world import World

RECIPE = "large 1280, medium 480 webp, small 160, square 200x200 cover"


def imports(world: World, *words: str) -> Any:
    """Run the command on the stores of a world."""
    env = {
        "PATH": os.environ["PATH"],
        "MONGODB_URL": world.ready["mongodb_url"],
        "REDIS_URL": world.ready["redis_url"],
        "TOKEN_SECRETS": "5e1f0c9a7b3d48620f9e8d7c6b5a4132",
    }
    command = [sys.executable, "-m", "workers.operate", *words, "--json"]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_images_come_to_the_recipe_of_their_organization(tmp_path: Path) -> None:
    """What is served afterwards is what the new recipe asks for, and the old thumbnails were never away."""
    with World(tmp_path / "data") as world:
        pictures = {
            "turned.jpg": turned(6, "JPEG", (1500, 1000)),
            "clear.png": saved(Image.new("RGBA", (900, 600), (255, 0, 0, 128)), "PNG"),
        }
        attached = {name: world.attach(name, data) for name, data in pictures.items()}
        ids = {name: world.submit(attachment, name) for name, attachment in attached.items()}
        world.rest()
        twin = world.submit(world.attach("twin.jpg", pictures["turned.jpg"]), "twin.jpg")
        world.rest()
        first = world.get(ids["turned.jpg"])
        assert world.get(twin)["duplicate_of"] == first["image_id"]
        assert "duplicate_of" not in first
        before = world.image(first["image_id"])
        assert (before["orientation"], before["frames"], before["width"]) == (6, 1, 1500)

        organization = world.ready["organization_id"]
        imports(world, "organization", "update", organization, "--thumbnails", RECIPE)
        assert imports(world, "rerender", "--dry-run")["outdated"] == 3
        told = imports(world, "rerender")
        assert (told["ordered"], told["succeeded"], told["failed"]) == (3, 3, [])
        assert imports(world, "rerender", "--dry-run")["outdated"] == 0

        after = world.image(first["image_id"])
        assert after["recipe"] != before["recipe"]
        assert [one["name"] for one in after["thumbnails"]] == ["large", "medium", "small", "square"]
        served = {one["name"]: world.blob(one["url"]) for one in after["thumbnails"]}
        assert served["medium"].headers["Content-Type"] == "image/webp"
        with Image.open(io.BytesIO(served["medium"].content)) as medium:
            assert (medium.format, medium.size) == ("WEBP", (480, 320))
        with Image.open(io.BytesIO(served["square"].content)) as square:
            assert square.size == (200, 200)
        kept = {one["sha256"] for one in before["thumbnails"]} - {
            one["sha256"] for one in after["thumbnails"]
        }
        assert kept
        assert {one["name"]: one["bytes"] for one in after["thumbnails"]} == {
            name: len(answer.content) for name, answer in served.items()
        }

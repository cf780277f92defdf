"""Real pictures of every kind through the whole product, each to the end that its label asks for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journey.sandboxes import ROOT
from tests.world import World

CORPUS = Path(os.environ.get("CORPUS_DIR") or ROOT.parent / "shared" / "corpus")
ENDS = {"thumbnail": {"succeeded"}, "reject": {"failed"}, "any": {"succeeded", "failed"}}
# What a picture can be refused for; any other code would mean that something else than the picture failed.
REFUSALS = ("image_", "render_memory", "not_an_image", "attachment_empty")


def entries() -> list[dict[str, Any]]:
    if not (CORPUS / "manifest.json").exists():
        pytest.skip(f"the corpus of real pictures is not at {CORPUS}; the drawn ones are tested elsewhere")
    return list(json.loads((CORPUS / "manifest.json").read_text())["entries"])


def one_of_each(found: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Choose so that every format, outcome, orientation and reason is met before any is met twice."""
    ranks: dict[tuple[Any, ...], int] = {}
    ranked = []
    for entry in found:
        kind = (entry["outcome"], entry["format"], entry["exif_orientation"], entry["mode"], entry["reason"])
        ranks[kind] = ranks.get(kind, 0) + 1
        ranked.append((ranks[kind], entry["bytes"] > 2**20, len(ranked), entry))
    return [entry for *_, entry in sorted(ranked, key=lambda row: row[:3])[:most]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    entries()
    with World(tmp_path_factory.mktemp("corpus"), "--pictures", str(CORPUS)) as world:
        yield world


def run(world: World, chosen: list[dict[str, Any]]) -> None:
    served = world.samples()
    expected = {entry["file"]: ENDS[entry["outcome"]] for entry in chosen}
    ids = [world.submit(served[name], name) for name in expected]
    world.rest(ids, seconds=180)
    surprises = []
    for import_id in ids:
        document = world.document(import_id)
        name = world.accepted[import_id]
        code = (document["error"] or {}).get("code", "")
        refused = document["status"] == "failed"
        if document["status"] not in expected[name] or (refused and not code.startswith(REFUSALS)):
            surprises.append((name, document["status"], code))
    assert surprises == []
    world.idle()

    def end(name: str) -> str:
        (kept,) = {world.document(one)["status"] for one, of in world.accepted.items() if of == name}
        return str(kept)

    assert world.audit(expected=end).faults() == {}


def test_pictures_of_every_class_come_to_their_end(world: World) -> None:
    """A picture of each kind becomes three thumbnails or a code that says why not, beside all the others."""
    run(world, one_of_each(entries(), most=130))


@pytest.mark.slow
def test_the_whole_corpus_comes_to_its_end(world: World) -> None:
    """No picture of the corpus surprises the running product."""
    run(world, entries())

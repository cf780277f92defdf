"""Hundreds of real and hostile files end as their manifest says, in the decoder that production uses.

The files stand beside the checkout (`../shared/corpus`, or where CORPUS_DIR says). A clone without them
tests the same classes with the pictures that its other tests draw.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workers.jpegs import only_a_picture
from workers.decoding.client import Decoder
from workers.failures import Permanent
from workers.imaging.refusals import SENTENCES
from workers.imaging.rendering import Rendering

CORPUS = Path(os.environ.get("CORPUS_DIR") or Path(__file__).resolve().parents[4] / "shared" / "corpus")
MANIFEST = CORPUS / "manifest.json"

pytestmark = pytest.mark.skipif(
    not MANIFEST.is_file(), reason=f"no corpus at {CORPUS}; CORPUS_DIR names another place"
)

Outcome = Rendering | Permanent
Entry = dict[str, Any]


@cache
def entries() -> tuple[Entry, ...]:
    return tuple(json.loads(MANIFEST.read_text())["entries"])


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Outcome]]:
    """Render every file, two at a time."""
    decoder, never = Decoder(), threading.Event()
    decoder.start()

    def outcome(entry: Entry) -> Outcome:
        with (CORPUS / entry["file"]).open("rb") as original:
            try:
                return decoder.render(original, stopping=never)
            except Permanent as failure:
                return failure

    try:
        with ThreadPoolExecutor(2) as pool:
            yield dict(zip((each["file"] for each in entries()), pool.map(outcome, entries()), strict=True))
    finally:
        decoder.stop()


def _as_labelled(entry: Entry, outcome: Outcome) -> bool:
    """Tell whether an outcome is one that the manifest allows."""
    if entry["outcome"] == "any" or entry.get("policy_band"):
        return True
    rendered = isinstance(outcome, Rendering)
    return rendered == (entry["outcome"] == "thumbnail") or bool(rendered and entry.get("may_thumbnail"))


def test_every_file_ends_as_its_manifest_says(outcomes: dict[str, Outcome]) -> None:
    """Good pictures are rendered, bad ones are refused with a known code and a sentence, and none crashes."""
    surprises = {
        entry["file"]: getattr(outcomes[entry["file"]], "code", "rendered")
        for entry in entries()
        if not _as_labelled(entry, outcomes[entry["file"]])
    }
    assert not surprises
    refused = {outcome.code for outcome in outcomes.values() if isinstance(outcome, Permanent)}
    assert refused <= set(SENTENCES) - {"decoder_crashed", "render_timeout", "render_memory"}


def test_every_rendering_is_whole_and_clean(outcomes: dict[str, Outcome]) -> None:
    """Three thumbnails, none larger than its source or of no width, none with a byte that is no picture."""
    for file, outcome in outcomes.items():
        if not isinstance(outcome, Rendering):
            continue
        assert [each.name for each in outcome.variants] == ["large", "medium", "small"], file
        for each, edge in zip(outcome.variants, (1280, 480, 160), strict=True):
            assert 1 <= each.width <= outcome.width, file
            assert 1 <= each.height <= outcome.height, file
            assert max(each.width, each.height) == min(edge, max(outcome.width, outcome.height)), file
            assert only_a_picture(each.data), file


def test_sizes_are_as_a_person_sees_them(outcomes: dict[str, Outcome]) -> None:
    """The made orientation files stand upright whatever their tag, and others have their manifest's size."""
    for entry in entries():
        outcome = outcomes[entry["file"]]
        if not isinstance(outcome, Rendering) or entry["size"] is None:
            continue
        told = [outcome.width, outcome.height]
        if "upright" in entry:
            assert told == entry["upright"], entry["file"]
        else:
            assert sorted(told) == sorted(entry["size"]), entry["file"]


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_no_file_costs_more_than_it_may(outcomes: dict[str, Outcome]) -> None:
    """Two seconds of processor, ten by the clock, 250 MB; 70 MB for a baseline JPEG, whatever its size."""
    names = {str(CORPUS / entry["file"]): entry for entry in entries()}
    told = subprocess.run(
        [sys.executable, "-m", "tests.unit.workers.costs"],
        input="\n".join(names),
        capture_output=True,
        text=True,
        check=True,
    )
    costs: dict[str, tuple[float, float, int]] = json.loads(told.stdout)
    assert len(costs) == len(names)
    assert not {name: cpu for name, (cpu, _, _) in costs.items() if cpu > 2}
    assert not {name: wall for name, (_, wall, _) in costs.items() if wall > 10}
    for name, (_, _, peak) in costs.items():
        outcome = outcomes[names[name]["file"]]
        if isinstance(outcome, Rendering):
            baseline = outcome.format == "JPEG" and b"\xff\xc2" not in Path(name).read_bytes()
            assert peak <= (70 if baseline else 250) * 2**20, name


def test_frames_are_counted(outcomes: dict[str, Outcome]) -> None:
    """As the manifest's second look at the file counted them, wherever they can be counted at all."""
    known = [
        (one, outcomes[one["file"]]) for one in entries() if one.get("n_frames") and one["format"] != "ICO"
    ]
    told = [(one["file"], one["n_frames"], seen.frames) for one, seen in known if isinstance(seen, Rendering)]
    assert len(told) > 200
    assert not [each for each in told if each[1] != each[2]]


def test_made_metadata_is_read(outcomes: dict[str, Outcome]) -> None:
    """Camera, time with zone and place of the file whose values are known."""
    (entry,) = (each for each in entries() if each.get("metadata"))
    known, outcome = entry["metadata"], outcomes[entry["file"]]
    assert isinstance(outcome, Rendering)
    assert outcome.camera == f"{known['make']} {known['model']}"
    assert outcome.taken_at == known["date"]
    assert outcome.gps is not None
    assert outcome.gps["latitude"] == pytest.approx(known["lat"], abs=1e-4)
    assert outcome.gps["longitude"] == pytest.approx(known["lon"], abs=1e-4)


def test_nothing_is_loaded_while_decoding() -> None:
    """A decoding child may open no file: whatever a picture needs was loaded before its first byte came."""
    code = (
        "import sys\n"
        "from workers.decoding import child, server\n"
        "from workers.imaging.local import product\n"
        "from workers.imaging.reading import prepare\n"
        "from workers.failures import Permanent\n"
        "prepare()\n"
        "before = set(sys.modules)\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        product(path)\n"
        "    except Permanent:\n"
        "        pass\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    paths = [str(CORPUS / entry["file"]) for entry in entries()]
    told = subprocess.run(
        [sys.executable, "-c", code, *paths],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "[]\n"

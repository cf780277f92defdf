"""A checker that was never seen to fail proves nothing: each deliberately broken product is caught.

The variants are patches in `broken/`, applied to a copy of this checkout. The run against each is short and
made of the faults that the breach cannot survive.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.faults import KINDS
from tests.journey.sandboxes import ROOT

BROKEN = Path(__file__).with_name("broken")
COPIED = ("ingest", "workers", "common", "sandbox", "tests")


@dataclass(frozen=True, slots=True)
class Variant:
    """A breach, the run that brings it to light, and the number that is no longer zero."""

    name: str
    caught_as: str
    only: str
    faults: int = 3
    minutes: float = 0.25

    def __str__(self) -> str:
        return self.name


QUICK = Variant("acknowledge_before_writing", "lost", "kill web")
OTHERS = (
    Variant("random_image_id", "duplicate_images", "kill render worker,mongodb mute"),
    Variant("no_fence", "reverted_states", "pause fetch worker", faults=2, minutes=0.5),
    Variant("no_sweeper", "stuck", "kill fetch worker"),
    Variant("record_before_bytes", "unreadable_thumbnails", "kill render worker"),
)


def checkout(folder: Path, variant: Variant) -> Path:
    """Return a copy of this checkout with the breach in it."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Procfile", folder)
    applied = subprocess.run(
        ["git", "apply", str(BROKEN / f"{variant.name}.patch")],
        cwd=folder,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert applied.returncode == 0, f"the patch no longer fits the code: {applied.stderr}"
    return folder


def caught(folder: Path, variant: Variant) -> dict[str, list[str]]:
    """Run the harness of a copy against the product of the copy; return the numbers that were not zero."""
    run = folder / "run"
    run.mkdir()
    options = f"--seed 1 --imports 60 --minutes {variant.minutes} --faults {variant.faults} --patience 40"
    ended = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *options.split(), "--only", variant.only, "--json", "run.json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "TMPDIR": str(run)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    (report,) = json.loads((folder / "run.json").read_text())["runs"]
    return {kind: found for kind, found in report["audit"].items() if found}


def test_every_patch_is_a_variant() -> None:
    """No breach lies about untested, and each run is made of faults that exist."""
    variants = (QUICK, *OTHERS)
    assert sorted(path.stem for path in BROKEN.glob("*.patch")) == sorted(map(str, variants))
    assert not {kind for variant in variants for kind in variant.only.split(",")} - KINDS.keys()


@pytest.mark.parametrize("variant", [QUICK, *OTHERS], ids=str)
def test_a_patch_fits(variant: Variant, tmp_path: Path) -> None:
    """A breach can still be made: whoever changes the code it breaks has to move it along."""
    checkout(tmp_path / "copy", variant)


@pytest.mark.timeout(240)
def test_an_acknowledgement_before_the_write_is_caught(tmp_path: Path) -> None:
    """A door that answers before it has written loses what it promised, and the harness says so."""
    assert QUICK.caught_as in caught(checkout(tmp_path / "copy", QUICK), QUICK)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("variant", OTHERS, ids=str)
def test_a_breach_is_caught(variant: Variant, tmp_path: Path) -> None:
    """The number that belongs to a breach is not zero, whatever else it brings about."""
    assert variant.caught_as in caught(checkout(tmp_path / "copy", variant), variant)

"""Run the product by a changed list of processes: another command on some lines, or a line more."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.journey.sandboxes import ROOT
from tests.world import World


def rewired(folder: Path, change: Callable[[str, str], str], *more: str) -> Path:
    """Write the Procfile with `change(name, command)` on each line, and lines more; return the file."""
    lines = []
    for line in (ROOT / "Procfile").read_text().splitlines():
        name, command = line.split(": ", 1)
        lines.append(f"{name}: {change(name, command)}")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "Procfile"
    file.write_text("\n".join([*lines, *more]) + "\n")
    return file


def world_of(folder: Path, procfile: Path, **environ: str) -> World:
    """Start a world by another Procfile; its processes run this checkout's code all the same."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return World(folder, "--procfile", str(procfile), environ={**environ, "PYTHONPATH": path})

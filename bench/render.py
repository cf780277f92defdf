"""Measure rendering: processor time for each megapixel, likeness, bytes and memory, against other engines.

    python -m bench.render [--files DIR] [--rounds 5] [--sheet FILE]      (bench/README.md says what is needed)

Every engine has one process, pinned to the same core, and takes its turn file by file, so that whatever else the
machine does hits all alike; of several rounds the least time counts. Files that one of the engines refuses are
told and not compared. `product(path)` is the product's own render in this process, without the child.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # also as `python bench/render.py`
    sys.path.insert(0, str(ROOT))

from workers.imaging.local import product  # noqa: E402 - needs the line above

__all__ = ["product"]

RESULTS = ROOT / "bench" / "results"
CORPUS = Path(os.environ.get("CORPUS_DIR") or ROOT.parent / "shared" / "corpus")
PEERS = ("pyvips cascade", "sharp cascade")
EDGES = {"large": 1280, "medium": 480, "small": 160}


@dataclass(slots=True)
class Engine:
    """One engine in a process of its own."""

    name: str
    process: subprocess.Popen[str]

    def render(self, path: Path, *, keep: bool) -> dict[str, Any]:
        """Have it render a file."""
        into, out = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)
        into.write(json.dumps({"path": str(path), "keep": keep}) + "\n")
        into.flush()
        answer: dict[str, Any] = json.loads(out.readline())
        return answer


@dataclass(slots=True)
class Row:
    """What one file cost each engine, and how like the reference it came out."""

    file: str
    kind: str
    pixels: int
    cpu: dict[str, float] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)
    ssim: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def started(core: int) -> Iterator[Engine]:
    """Start every engine that this machine has."""
    from bench.engines import ENGINES  # noqa: PLC0415

    here = ROOT / "bench"
    commands = {name: [sys.executable, "-m", "bench.engines", name] for name in ENGINES}
    if os.environ.get("SHARP_HOME"):
        commands |= {f"sharp {how}": ["node", str(here / "sharp.mjs"), how] for how in ("cascade", "each")}
    quiet = {"VIPS_CONCURRENCY": "1", "PYTHONPATH": str(ROOT), "VIPS_WARNING": "0"}
    for name, command in commands.items():
        pinned = ["taskset", "-c", str(core), *command]
        pipes: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.DEVNULL,
        }
        yield Engine(
            name, subprocess.Popen(pinned, cwd=ROOT, env={**os.environ, **quiet}, text=True, **pipes)
        )


def entries(folder: Path) -> list[dict[str, Any]]:
    """Return the files to render with what is known of them: the corpus's manifest, or whatever lies there."""
    manifest = folder / "manifest.json"
    if manifest.is_file():
        known = json.loads(manifest.read_text())["entries"]
        return [one for one in known if one["outcome"] == "thumbnail" and one["pixels"]]
    from PIL import Image  # noqa: PLC0415

    found = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as picture:
            pixels = picture.width * picture.height
            found.append({"file": path.name, "format": picture.format, "pixels": pixels})
    return found


def measure(folder: Path, *, rounds: int, core: int) -> list[Row]:
    """Render every file with every engine in turn."""
    engines = list(started(core))
    rows = [Row(one["file"], one["format"], one["pixels"]) for one in entries(folder)]
    try:
        for warm_up in rows[:3]:
            for engine in engines:
                engine.render(folder / warm_up.file, keep=False)
        for number, row in enumerate(rows):
            for turn in range(rounds):
                # Each engine is the first one as often as the others.
                for engine in engines[turn % len(engines) :] + engines[: turn % len(engines)]:
                    _once(row, engine, folder / row.file, keep=turn == 0)
            if number % 25 == 0:
                sys.stderr.write(f"{number} of {len(rows)}\n")
    finally:
        for engine in engines:
            if engine.process.stdin is not None:
                engine.process.stdin.close()
            engine.process.wait(10)
    return rows


def _once(row: Row, engine: Engine, path: Path, *, keep: bool) -> None:
    from bench import similarity  # noqa: PLC0415

    answer = engine.render(path, keep=keep)
    if answer["error"]:
        row.errors[engine.name] = answer["error"]
        return
    row.cpu[engine.name] = min(answer["cpu_s"], row.cpu.get(engine.name, 1e9))
    row.peak[engine.name] = answer["peak_bytes"]
    if not keep:
        return
    made = {name: base64.b64decode(data) for name, data in answer["made"].items()}
    row.size[engine.name] = sum(map(len, made.values()))
    try:
        wanted = similarity.references(path.read_bytes(), tuple(EDGES.values()))
    except Exception:  # noqa: BLE001 - what cannot be referred to is not judged
        return
    got = {name: similarity.brightness(data) for name, data in made.items()}
    if all(got[name].shape == wanted[edge].shape for name, edge in EDGES.items()):
        row.ssim[engine.name] = [similarity.ssim(got[name], wanted[edge]) for name, edge in EDGES.items()]


def summary(rows: list[Row]) -> dict[str, Any]:
    """Return sums and ratios over the files that every engine has rendered, in total and by kind."""
    names = sorted({name for row in rows for name in (*row.cpu, *row.errors)})
    whole = [row for row in rows if all(name in row.cpu for name in names)]
    kinds = sorted({row.kind for row in whole})
    big = [row for row in whole if row.kind == "JPEG" and row.pixels >= 2e6]
    groups = {"all": whole, "JPEG of 2 MP and more": big}
    groups |= {kind: [row for row in whole if row.kind == kind] for kind in kinds}
    return {
        "compared": len(whole),
        "groups": {label: _group(group, names) for label, group in groups.items() if group},
        "likeness": _likeness(whole),
        "refused": {row.file: row.errors for row in rows if row.errors},
    }


def _group(rows: list[Row], names: list[str]) -> dict[str, Any]:
    pixels = sum(row.pixels for row in rows)
    cpu = {name: sum(row.cpu[name] for row in rows) for name in names}
    return {
        "files": len(rows),
        "megapixels": round(pixels / 1e6, 2),
        "cpu_ms": {name: round(1000 * value, 1) for name, value in cpu.items()},
        "cpu_ms_per_megapixel": {name: round(1e9 * value / pixels, 2) for name, value in cpu.items()},
        "product_against": {name: round(cpu["product"] / value, 3) for name, value in cpu.items()},
        "bytes": {name: sum(row.size[name] for row in rows) for name in names},
        "peak_mb": {name: round(max(row.peak[name] for row in rows) / 2**20) for name in names},
    }


def _likeness(rows: list[Row]) -> dict[str, Any]:
    """Compare with the better of the two cascades, thumbnail by thumbnail."""
    differences, worst = [], []
    for row in rows:
        peers = [row.ssim[name] for name in PEERS if name in row.ssim]
        if "product" not in row.ssim or not peers:
            continue
        for place, edge in enumerate(EDGES):
            found = row.ssim["product"][place] - max(peer[place] for peer in peers)
            differences.append(found)
            worst.append((found, row.file, edge))
    if not differences:
        return {}
    return {
        "thumbnails": len(differences),
        "median": round(statistics.median(differences), 5),
        "mean": round(statistics.fmean(differences), 5),
        "worst": [[round(found, 5), file, edge] for found, file, edge in sorted(worst)[:10]],
    }


def machine() -> dict[str, str]:
    """Say what it ran on."""
    import PIL  # noqa: PLC0415

    model = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), "")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return {"processor": model, "python": platform.python_version(), "pillow": PIL.__version__, "load": load}


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def main() -> None:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=Path, default=CORPUS, help="a corpus with manifest.json, or a folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=RESULTS / "render.json")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet (HTML) there and measure nothing")
    asked = parser.parse_args()
    if asked.sheet is not None:
        from bench.sheet import write  # noqa: PLC0415

        write(asked.files, asked.sheet)
        return
    rows = measure(asked.files, rounds=asked.rounds, core=asked.core)
    found = {"machine": machine(), "rounds": asked.rounds, **summary(rows)}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
    from bench.plot import bars  # noqa: PLC0415

    asked.out.with_suffix(".svg").write_text(bars(found["groups"]))
    print(json.dumps({key: found[key] for key in ("compared", "groups", "likeness")}, indent=1))


if __name__ == "__main__":
    main()

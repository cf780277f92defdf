"""Measure the whole way of an import: imports a second, and processor time by process, workers and stores apart.

    python -m bench.line [--pictures 200] [--edge 2000] [--renders 1,2,4] [--tiny 300]

Photos are drawn (3 megapixels by default, as JPEG) and served by the simulated Salesforce. In turn, in one run:

    render alone    the product's render of the same photos in one process: what nobody can do without
    product         posted as fast as the door takes them, with 1, 2 and 4 render processes
    plain           Flask and Celery (bench/peers/plain.py) with 2 worker processes, on the same stores
    tiny pictures   the product with 8x8 pixels: what the pipeline itself costs
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymongo
import requests
from PIL import Image, ImageFilter

from bench import report
from bench.processes import PEERS, Cost, cost, free_port, pids_of, running, sandbox
from sandbox.salesforce.tables import attachment_id
from workers.imaging.local import product as render

OURS = ("web", "fetch", "render", "sweeper")
STORES = ("mongodb", "redis")


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--edge", type=int, default=2000, help="width of each photo in pixels")
    parser.add_argument("--renders", default="1,2,4", help="numbers of render processes")
    parser.add_argument("--tiny", type=int, default=300, help="tiny pictures that are imported")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos, tiny = folder / "photos", folder / "tiny"
        _draw(photos, options.pictures, (options.edge, options.edge * 3 // 4))
        _draw(tiny, options.tiny, (8, 8))
        alone = _render_alone(photos)
        rows = [{"name": "render alone", "imports": options.pictures, "cpu_ms": round(alone, 1)}]
        for count in map(int, options.renders.split(",")):
            rows.append(_product(folder, photos, renders=count, with_plain=rows if count == 2 else None))
        rows.append(_product(folder, tiny, renders=2, name="tiny pictures"))
    _report(rows, alone)


def _report(rows: list[dict[str, Any]], alone: float) -> None:
    found = {row["name"]: row for row in rows}
    ratios: dict[str, float] = {}
    if "2 renders" in found:
        two = found["2 renders"]
        ratios["cpu of web and workers, of the render alone"] = round(two["cpu_ms"] / alone, 2)
        ratios["stores, ms an import"] = two["stores_ms"]
        ratios["imports a second, of plain"] = round(two["per_second"] / found["plain"]["per_second"], 2)
        if "1 renders" in found:
            ratios["two renders, of one"] = round(two["per_second"] / found["1 renders"]["per_second"], 2)
    report.tell(
        "line",
        "From accepted to succeeded",
        rows,
        plot=("cpu_ms", "ms of processor time an import"),
        ratios=ratios,
    )


def _draw(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Draw pictures that are as hard to decode as photos: soft colours with grain, each of its own."""
    folder.mkdir()
    chance = random.Random(1)  # noqa: S311 - the same pictures each time
    for number in range(count):
        small = Image.frombytes("RGB", (24, 18), chance.randbytes(24 * 18 * 3))
        picture = small.resize(size, Image.Resampling.BICUBIC)
        if size[0] > 100:
            grain = Image.effect_noise(size, 22).filter(ImageFilter.GaussianBlur(0.6)).convert("RGB")
            picture = Image.blend(picture, grain, 0.15)
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=88)
        (folder / f"{number:04}.jpg").write_bytes(out.getvalue())


def _render_alone(photos: Path) -> float:
    """Return the milliseconds of processor time of one render."""
    files = sorted(photos.iterdir())[:40]
    render(str(files[0]))
    began = time.process_time()
    for file in files:
        render(str(file))
    return (time.process_time() - began) / len(files) * 1000


def _product(
    folder: Path,
    pictures: Path,
    *,
    renders: int,
    name: str | None = None,
    with_plain: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    stack = folder / f"stack-{name or renders}".replace(" ", "-")
    environ = {"RENDER_PROCESSES": str(renders), "LOG_LEVEL": "warning"}
    files = sorted(pictures.iterdir())
    with sandbox(stack, "--pictures", str(pictures), environ=environ) as ready:
        before = {each: cost(pids_of(ready, each)) for each in (*OURS, *STORES)}
        with pymongo.MongoClient[dict[str, Any]](ready["mongodb_url"]) as client:
            imports = client.get_default_database().imports
            url, headers = (
                f"{ready['base_url']}/api/v1/imports",
                {"Authorization": f'Token token="{ready["token"]}"'},
            )
            seconds = _carry(url, headers, files, lambda: imports.count_documents({"status": "succeeded"}))
        spent = {each: cost(pids_of(ready, each)).since(before[each]) for each in (*OURS, *STORES)}
        row = _row(name or f"{renders} renders", len(files), seconds, spent)
        if with_plain is not None:
            with_plain.append(_plain(folder, ready, files))
    return row


def _plain(folder: Path, ready: dict[str, Any], files: list[Path]) -> dict[str, Any]:
    port = free_port()
    secrets = folder / "stack-2"
    (folder / "kept").mkdir(exist_ok=True)
    environ = {
        "MONGODB_URL": ready["mongodb_url"].replace("/imports?", "/plain?"),
        "REDIS_URL": ready["redis_url"].removesuffix("/0") + "/1",
        "TOKEN_SECRET": (secrets / "secrets" / "token_secrets").read_text().strip().partition(",")[0],
        "SALESFORCE_URL": ready["salesforce_url"],
        "SALESFORCE_SECRET": (secrets / "secrets" / "salesforce_client_secret").read_text().strip(),
        "FOLDER": str(folder / "kept"),
    }
    door = [str(PEERS / "gunicorn"), "--workers", "1", "--threads", "16", "--bind", f"127.0.0.1:{port}"]
    door += ["--log-level", "warning", "bench.peers.plain:app"]
    work = [
        str(PEERS / "celery"),
        "-A",
        "bench.peers.plain:queue",
        "worker",
        "--concurrency",
        "2",
        "--loglevel",
        "WARNING",
    ]
    with pymongo.MongoClient[dict[str, Any]](environ["MONGODB_URL"]) as client:
        db = client.get_default_database()
        db.users.insert_one({"_id": ready["user_id"], "organization_id": ready["organization_id"]})
        with (
            running(door, port, folder / "door.log", environ) as door_pid,
            running(work, None, folder / "work.log", environ) as work_pid,
        ):
            url, headers = (
                f"http://127.0.0.1:{port}/api/v1/imports",
                {"Authorization": f'Token token="{ready["token"]}"'},
            )
            try:
                _carry(
                    url,
                    headers,
                    files[:4],
                    lambda: db.imports.count_documents({"status": "succeeded"}),
                    patience=30,
                )
            except TimeoutError as error:
                sys.exit(f"{error}; the peer's workers say: {(folder / 'work.log').read_text()[-2000:]}")
            db.imports.delete_many({})
            ours, stores = (
                {"web": [door_pid], "workers": [work_pid]},
                {each: pids_of(ready, each) for each in STORES},
            )
            before = {each: cost(pids) for each, pids in {**ours, **stores}.items()}
            seconds = _carry(url, headers, files, lambda: db.imports.count_documents({"status": "succeeded"}))
            spent = {each: cost(pids).since(before[each]) for each, pids in {**ours, **stores}.items()}
    return _row("plain", len(files), seconds, spent)


def _carry(
    url: str,
    headers: dict[str, str],
    files: list[Path],
    succeeded: Callable[[], int],
    *,
    patience: float = 300,
) -> float:
    """Post all, wait until all have succeeded, return the seconds."""
    began = time.monotonic()
    with requests.Session() as session:
        for file in files:
            form = {"import_type": "salesforce", "attachment_id": attachment_id(f"pictures/{file.name}")}
            session.post(
                url, data={**form, "filename": file.name}, headers=headers, timeout=30
            ).raise_for_status()
    while succeeded() < len(files):
        if time.monotonic() - began > patience:
            raise TimeoutError(f"only {succeeded()} of {len(files)} succeeded within {patience} s")
        time.sleep(0.1)
    return time.monotonic() - began


def _row(name: str, count: int, seconds: float, spent: dict[str, Cost]) -> dict[str, Any]:
    each = {part: one.cpu_s / count * 1000 for part, one in spent.items()}
    stores = sum(each[part] for part in STORES)
    row: dict[str, Any] = {
        "name": name,
        "imports": count,
        "per_second": round(count / seconds, 2),
        "cpu_ms": round(sum(each.values()) - stores, 1),
        "stores_ms": round(stores, 1),
    }
    row |= {f"{part}_ms": round(value, 1) for part, value in each.items()}
    return row | {f"{part}_mb": round(one.rss_mb) for part, one in spent.items() if part not in STORES}


if __name__ == "__main__":
    main()

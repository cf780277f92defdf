"""Measure what the whole stack costs while nothing is to be done, and how soon it takes up an import then.

`python bench/idle.py [--seconds 30] [--imports 20]` starts the product with embedded stores and leaves it alone. It
counts the processor time of each process and the commands that both stores carry out, by their own counters (in Redis
those inside scripts too), then posts one import at a time into the silence and takes from its document how long after
its acceptance it was claimed. Prints a table and writes `bench/results/idle.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pymongo
import redis
import requests

RESULTS = Path(__file__).parent / "results" / "idle.json"
SETTLE_SECONDS = 15.0
ATTACHMENT = "00P4I00000zyw3eUAA"  # that no Salesforce has: to be claimed it need not exist
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Start the product, measure, end it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long nothing is done")
    parser.add_argument("--imports", type=int, default=20, help="how many are posted into the silence")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "sandbox", "--port", "0", "--no-sample", "--data", folder]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as product:
            try:
                ready = json.loads(next(iter(product.stdout or [])))
                time.sleep(SETTLE_SECONDS)
                found = {**at_rest(product.pid, ready, options.seconds), **pick_up(ready, options.imports)}
            finally:
                product.send_signal(signal.SIGINT)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, value in found.items():
        if isinstance(value, dict):
            for part, amount in value.items():
                sys.stdout.write(f"  {part:<38} {amount:>8}\n")
        else:
            sys.stdout.write(f"{name:<40} {value:>8}\n")


def at_rest(pid: int, ready: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Measure processor time and commands while nothing is done."""
    with (
        pymongo.MongoClient[dict[str, Any]](ready["mongodb_url"]) as mongodb,
        redis.Redis.from_url(ready["redis_url"]) as client,
    ):
        asked, done, spent, began = _asked(mongodb), _done(client), _spent(pid), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        asked, done, after = _asked(mongodb) - asked, _done(client) - done, _spent(pid)
    cores = {name: round(100 * (after[name] - spent.get(name, 0.0)) / took, 2) for name in after}
    return {
        "percent of a core, whole stack": round(sum(cores.values()), 2),
        "percent of a core, by process": cores,
        "Redis commands a second": round(done / took, 1),
        "MongoDB commands a second": round(asked / took, 1),
    }


def pick_up(ready: dict[str, Any], amount: int) -> dict[str, float]:
    """Post imports into the silence; return after how many milliseconds they were claimed."""
    chance, waits = random.Random(1), []  # noqa: S311 - no secret
    headers = {"Authorization": f'Token token="{ready["token"]}"'}
    with pymongo.MongoClient[dict[str, Any]](ready["mongodb_url"]) as mongodb:
        imports = mongodb.get_default_database().imports
        for _ in range(amount):
            time.sleep(chance.uniform(1.0, 3.0))
            url, form = f"{ready['base_url']}/api/v1/imports", {"attachment_id": ATTACHMENT}
            import_id = requests.post(url, data=form, headers=headers, timeout=15).json()["id"]
            while not (began := (imports.find_one({"_id": import_id}) or {})["stages"].get("fetch")):
                time.sleep(0.05)
            document = imports.find_one({"_id": import_id}) or {}
            waits.append((began["started_at"] - document["created_at"]).total_seconds() * 1000)
    return {
        "picked up after, median (ms)": round(statistics.median(waits), 1),
        "picked up after, longest (ms)": round(max(waits), 1),
    }


def _asked(mongodb: pymongo.MongoClient[dict[str, Any]]) -> int:
    counters = mongodb.admin.command("serverStatus")["opcounters"]
    return sum(int(amount) for amount in counters.values())


def _done(client: redis.Redis) -> int:
    counters: Any = client.info("commandstats")
    return sum(int(one["calls"]) for one in counters.values())


def _spent(root: int) -> dict[str, float]:
    """Return the processor seconds of a process and all below it, by what they are."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(entry)[1])
            except (OSError, IndexError):
                continue
    found: dict[str, float] = {}
    for pid in parents:
        above = pid
        while above not in (root, 0) and above in parents:
            above = parents[above]
        if above != root:
            continue
        try:
            words = (Path("/proc") / str(pid) / "cmdline").read_bytes().decode().split("\0")
            fields = _stat(Path("/proc") / str(pid))
        except OSError:
            continue
        found[f"{pid} {' '.join(word.rsplit('/', 1)[-1] for word in words[:4])}"[:38]] = (
            int(fields[11]) + int(fields[12])
        ) / TICKS
    return found


def _stat(entry: Path) -> list[str]:
    return (entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()


if __name__ == "__main__":
    main()

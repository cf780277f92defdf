"""Measure what grows with the number of imports: each question of the product with few and with many stored.

    python -m bench.growth [--sizes 1000,10000] [--repeat 9]

The documents are written straight into the embedded store (most have ended, one in a hundred waits), then the running
product is asked, each question several times; the median counts. On MongoDB the same questions are served by an
index in order, which tests/conformance shows without a server; the embedded one is what a sandbox has.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymongo
import requests

from bench import report
from bench.door import FORM
from bench.processes import sandbox

SETTLE_SECONDS = 10.0


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000")
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    found: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as name, sandbox(Path(name) / "stack") as ready:
        stored = 0
        for size in sizes:
            _store(ready, size - stored)
            stored = size
            for question, milliseconds in _asked(Path(name) / "stack", ready, options.repeat).items():
                found.setdefault(question, {})[size] = milliseconds
    rows = [
        {
            "name": question,
            **{f"{size}": round(each[size], 1) for size in sizes},
            "ratio": round(each[sizes[-1]] / each[sizes[0]], 2),
        }
        for question, each in found.items()
    ]
    report.tell(
        "growth",
        "Milliseconds with so many imports stored",
        rows,
        plot=("ratio", "most of fewest"),
        ratios={},
    )


def _store(ready: dict[str, Any], count: int) -> None:
    """Copy one ended import that the product itself has made, under other ids and times."""
    with pymongo.MongoClient[dict[str, Any]](ready["mongodb_url"], tz_aware=True) as client:
        imports = client.get_default_database().imports
        answer = requests.post(
            f"{ready['base_url']}/api/v1/imports", data=FORM, headers=_headers(ready), timeout=30
        )
        made = answer.json()["id"]
        until = time.monotonic() + 60
        while (one := imports.find_one({"_id": made})) is None or one["status"] not in (
            "failed",
            "succeeded",
        ):
            if time.monotonic() > until:
                sys.exit("the import to be copied did not end")
            time.sleep(0.2)
        now = datetime.now(UTC)
        copies = [
            {
                **one,
                "_id": str(uuid.uuid4()),
                "created_at": now - timedelta(seconds=number),
                "updated_at": now,
            }
            for number in range(count)
        ]
        for start in range(0, count, 1000):
            imports.insert_many(copies[start : start + 1000], ordered=False)
    time.sleep(SETTLE_SECONDS)  # the store is still writing what it was given


def _asked(folder: Path, ready: dict[str, Any], repeat: int) -> dict[str, float]:
    base, headers = ready["base_url"], _headers(ready)
    operator = ("operator", ready["operator_password"]) if "operator_password" in ready else None
    made = requests.post(f"{base}/api/v1/imports", data=FORM, headers=headers, timeout=30).json()["id"]
    get: Callable[[str, Any], Any] = lambda path, auth: requests.get(base + path, auth=auth, timeout=60)  # noqa: E731
    shell = (folder / "env").read_text()
    command = str(Path(sys.executable).with_name("imports"))

    def verb(*words: str) -> None:
        subprocess.run(
            ["sh", "-c", f'{shell}\nexec "$@"', "sh", command, *words], check=True, stdout=subprocess.DEVNULL
        )

    questions: dict[str, Callable[[], Any]] = {
        "POST": lambda: requests.post(f"{base}/api/v1/imports", data=FORM, headers=headers, timeout=30),
        "GET one": lambda: requests.get(f"{base}/api/v1/imports/{made}", headers=headers, timeout=30),
        "metrics": lambda: get("/metrics", operator),
        "dashboard": lambda: get("/dashboard", operator),
        "imports list": lambda: verb("list", "--json"),
        "imports queues": lambda: verb("queues", "--json"),
        "imports --help": lambda: verb("--help"),
    }
    return {name: _median(ask, repeat) for name, ask in questions.items()}


def _headers(ready: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f'Token token="{ready["token"]}"'}


def _median(ask: Callable[[], Any], repeat: int) -> float:
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        answer = ask()
        if isinstance(answer, requests.Response):
            answer.raise_for_status()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()

"""Measure the door: processor time of each accepted POST, requests a second, and how long answers take.

    python -m bench.door [--connections 64] [--seconds 8] [--rounds 3]

In turn, in one run, on the same embedded stores: Falcon on uvicorn that only answers; a plain build with Flask,
gunicorn and Celery (bench/peers/plain.py); the product. Each has one process for its door and no worker running,
so that what is measured is accepting. Of several rounds the median counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymongo

from bench import report
from bench.load import Answers, post
from bench.processes import PEERS, cost, free_port, pids_of, running, sandbox

FORM = {
    "album_id": "5005800000HEXCtAAP",
    "filename": "Image123.jpg",
    "import_type": "salesforce",
    "metadatas[attachmentId]": "00P4I00000zyw3eUAA",
    "attachment_id": "00P4I00000zyw3eUAA",
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with sandbox(folder / "stack", processes=["web"]) as ready:
            rounds = _measure(folder, ready, options)
    rows = [_row(who, found) for who, found in rounds.items()]
    bare, plain, product = rows
    for row in rows:
        row["cpu_of_bare"] = round(row["cpu_us"] / bare["cpu_us"], 2)
    ratios = {
        "cpu, product of bare": product["cpu_of_bare"],
        "cpu, product of plain": round(product["cpu_us"] / plain["cpu_us"], 2),
        "requests a second, product of plain": round(product["per_second"] / plain["per_second"], 2),
        "p99, product of plain": round(product["p99_ms"] / plain["p99_ms"], 2),
    }
    title = f"Accepted POSTs on {options.connections} connections"
    report.tell("door", title, rows, plot=("cpu_us", "µs of processor time each"), ratios=ratios)


def _measure(
    folder: Path, ready: dict[str, Any], options: argparse.Namespace
) -> dict[str, list[dict[str, float]]]:
    bare_port, plain_port = free_port(), free_port()
    secret = (folder / "stack" / "secrets" / "token_secrets").read_text().strip()
    environ = {
        "MONGODB_URL": ready["mongodb_url"].replace("/imports?", "/plain?"),
        "REDIS_URL": ready["redis_url"].removesuffix("/0") + "/1",
        "TOKEN_SECRET": secret.partition(",")[0],
        "SALESFORCE_URL": ready["salesforce_url"],
        "SALESFORCE_SECRET": "unused: no worker runs",
        "FOLDER": str(folder),
    }
    with pymongo.MongoClient[dict[str, Any]](environ["MONGODB_URL"]) as client:
        client.get_default_database().users.insert_one(
            {"_id": ready["user_id"], "organization_id": ready["organization_id"]}
        )
    bare = [sys.executable, "-m", "bench.peers.bare", "--port", str(bare_port)]
    plain = [
        str(PEERS / "gunicorn"),
        "--workers",
        "1",
        "--threads",
        "16",
        "--bind",
        f"127.0.0.1:{plain_port}",
    ]
    plain += ["--log-level", "warning", "bench.peers.plain:app"]
    found: dict[str, list[dict[str, float]]] = {"bare": [], "plain": [], "product": []}
    with (
        running(bare, bare_port, folder / "bare.log", {}) as bare_pid,
        running(plain, plain_port, folder / "plain.log", environ) as plain_pid,
    ):
        doors: dict[str, tuple[str, list[int]]] = {
            "bare": (f"http://127.0.0.1:{bare_port}", [bare_pid]),
            "plain": (f"http://127.0.0.1:{plain_port}", [plain_pid]),
            "product": (ready["base_url"], pids_of(ready, "web")),
        }
        stores = pids_of(ready, "mongodb", "redis")
        for each, (url, _) in doors.items():  # what is done once in a process's life is not measured
            first = _load(url, ready["token"], options.connections, 1.0)
            if not first.answered:
                log = folder / f"{each}.log"
                sys.exit(f"{each} refused every request. {log.read_text()[-2000:] if log.exists() else ''}")
        for _round in range(options.rounds):
            for who, (url, pids) in doors.items():
                before, beside = cost(pids), cost(stores)
                answers = _load(url, ready["token"], options.connections, options.seconds)
                spent, kept = cost(pids).since(before), cost(stores).since(beside)
                found[who].append(_figures(answers, spent.cpu_s, spent.rss_mb, kept.cpu_s))
    return found


def _load(url: str, token: str, connections: int, seconds: float) -> Answers:
    return post(f"{url}/api/v1/imports", token=token, form=FORM, connections=connections, seconds=seconds)


def _figures(answers: Answers, cpu_s: float, rss_mb: float, stores_s: float) -> dict[str, float]:
    return {
        "cpu_us": cpu_s / answers.answered * 1e6,
        "per_second": answers.per_second,
        "p50_ms": answers.p50_ms,
        "p99_ms": answers.p99_ms,
        "refused": answers.refused,
        "rss_mb": rss_mb,
        "stores_us": stores_s / answers.answered * 1e6,
    }


def _row(who: str, rounds: list[dict[str, float]]) -> dict[str, Any]:
    middle: Callable[[str], float] = lambda column: statistics.median(one[column] for one in rounds)  # noqa: E731
    return {"name": who, **{column: round(middle(column), 1) for column in rounds[0]}}


if __name__ == "__main__":
    main()

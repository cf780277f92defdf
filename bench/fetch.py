"""Measure how attachments are fetched: the product's own way against simple-salesforce used naively.

`python bench/fetch.py [--pictures 200] [--bytes 300000] [--latency 0.02] [--threads 8]` starts a simulated
Salesforce of its own and prints one JSON object, of which the ratios are what counts: they hold on any
machine. Each way runs in a process of its own, so that memory is its own too.

    product            row and body by the fetch stage, verified and stored, one session for all threads
    product-listed     the same as the child of a group, whose row came with the listing: one call each
    naive-library      Salesforce(...) for each import, then get() and get_base64(): what one would write first
    shared-library     the same with one Salesforce object for all threads
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import random
import resource
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
from cryptography.fernet import Fernet
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

from common.blobs import open_blobs
from sandbox.salesforce.api import Api
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.server import Server
from sandbox.salesforce.sessions import Sessions
from sandbox.salesforce.tables import Attachments
from workers.credentials import Credentials
from workers.deadlines import Deadline
from workers.sources import Sources
from workers.stages.fetch import fetch

SECRET = "a secret of the bench, known to nobody else"  # noqa: S105


def main() -> None:
    """Run every way and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--bytes", type=int, default=300_000, help="size of each picture")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds that each call takes at least")
    parser.add_argument("--threads", type=int, default=8)
    options = parser.parse_args()
    fresh = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        told, options.folder = fresh.Queue(), folder
        server = fresh.Process(target=_serve, args=(Path(folder), options, told), daemon=True)
        server.start()
        url, ids = told.get(timeout=60)
        results = {}
        for way in WAYS:
            before = _control(url, "GET", "stats")
            process = fresh.Process(target=_measured, args=(way, url, ids, options, told))
            process.start()
            results[way] = told.get(timeout=600)
            process.join()
            after = _control(url, "GET", "stats")
            results[way]["logins"] = after["logins"] - before["logins"]
            results[way]["calls"] = sum(
                after["calls"].get(kind, 0) - before["calls"].get(kind, 0)
                for kind in ("row", "blob", "query")
            )
        server.terminate()
        server.join()
    product, megabytes = results["product"], options.pictures * options.bytes / 2**20
    for result in results.values():
        result["cpu_s_per_mb"] = round(result["cpu_s"] / megabytes, 4)
    ratios = {
        way: {
            "times_as_fast": round(result["seconds"] / product["seconds"], 2),
            "cpu_ratio": round(result["cpu_s"] / product["cpu_s"], 2),
            "memory_ratio": round(result["grown_mb"] / max(1.0, product["grown_mb"]), 2),
        }
        for way, result in results.items()
        if way.endswith("library")
    }
    del options.folder
    print(json.dumps({"options": vars(options), "results": results, "product_against": ratios}, indent=2))


def _serve(folder: Path, options: argparse.Namespace, told: Any) -> None:
    attachments, chance = Attachments(folder / "org"), random.Random(1)  # noqa: S311 - the same pictures each time
    ids = []
    for number in range(options.pictures):
        content = b"\x89PNG\r\n\x1a\n" + chance.randbytes(options.bytes - 8)
        ids.append(attachments.add(f"{number}.png", content, {}).id)
    faults = Faults()
    if options.latency:
        faults.add({"kind": "delay", "seconds": options.latency, "times": None})
    with Server(0, Api(Sessions({"bench": SECRET}), attachments), faults) as server:
        told.put((server.url, ids))
        server.serve_forever()


def _measured(way: str, url: str, ids: list[str], options: argparse.Namespace, told: Any) -> None:
    one = WAYS[way](url, options)
    one(ids[0])  # what is done once in a process's life is not measured
    memory, cpu, began = _peak_mb(), time.process_time(), time.monotonic()
    with ThreadPoolExecutor(options.threads) as pool:
        list(pool.map(one, ids))
    told.put(
        {
            "seconds": round(time.monotonic() - began, 2),
            "cpu_s": round(time.process_time() - cpu, 2),
            "grown_mb": round(_peak_mb() - memory, 1),
        }
    )


def _product(url: str, options: argparse.Namespace, *, known: dict[str, Any] | None = None) -> Any:
    key = Fernet.generate_key().decode()
    credentials = Credentials([key])
    organization = {
        "_id": "bench",
        "credential_version": 1,
        "source": {
            "type": "salesforce",
            "login_url": url,
            "grant": "client_credentials",
            "client_id": "bench",
            "secret": credentials.encrypt(SECRET),
        },
    }
    sources = Sources(credentials=credentials, api_version="65.0")
    blobs = open_blobs(f"file://{options.folder}/blobs", mongodb_url="")
    spool = Path(options.folder) / "spool"

    def one(record_id: str) -> None:
        fetch(
            organization_id="bench",
            source_type="salesforce",
            record_id=record_id,
            source=sources.of(organization),
            blobs=blobs,
            spool_dir=spool,
            max_bytes=1 << 30,
            deadline=Deadline(300, stopping=threading.Event()),
            known=known,
        )

    return one


def _listed(url: str, options: argparse.Namespace) -> Any:
    return _product(url, options, known={"name": "a.png", "size": options.bytes})


def _naive(url: str, options: argparse.Namespace) -> Any:
    def one(record_id: str) -> None:
        with requests.Session() as session:
            _keep(_client(url, session), record_id, options.folder)

    return one


def _shared(url: str, options: argparse.Namespace) -> Any:
    client = _client(url, requests.Session())
    return lambda record_id: _keep(client, record_id, options.folder)


def _client(url: str, session: requests.Session) -> Salesforce:
    session.mount("https://", _ToSimulation(url))
    return Salesforce(
        session=session, domain="bench.my", consumer_key="bench", consumer_secret=SECRET, version="65.0"
    )


def _keep(client: Salesforce, record_id: str, folder: str) -> None:
    row = client.Attachment.get(record_id)
    body = client.Attachment.get_base64(record_id)
    path = Path(folder) / f"{row['Id']}.{hashlib.sha256(body).hexdigest()}"
    path.write_bytes(body)


class _ToSimulation(HTTPAdapter):
    """Sends what the library means for https://… to the simulation."""

    def __init__(self, url: str) -> None:
        super().__init__(pool_maxsize=64)
        self.url = url

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = self.url + request.path_url
        return super().send(request, *args, **kwargs)


def _control(url: str, method: str, noun: str) -> Any:
    return requests.request(method, f"{url}/_control/{noun}", timeout=10).json()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


WAYS = {"product": _product, "product-listed": _listed, "naive-library": _naive, "shared-library": _shared}


if __name__ == "__main__":
    main()

"""Hold every blob store to what a fetch may cost: a large original is never in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT
from tests.bucket import run_bucket

# Runs in a process of its own, whose greatest size is then what the one put has cost. Twenty small ones before
# it bring in what is loaded only once.
PUT = """
import hashlib, pathlib, re, sys, tempfile
from common.blobs import open_blobs

def status(name):
    return int(re.search(name + r":\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) * 1024

url, mongodb_url, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
blobs = open_blobs(url, mongodb_url=mongodb_url)
for number in range(20):
    small = bytes([number]) * 1000
    digest = hashlib.sha256(small).hexdigest()
    blobs.put(f"org/a/{digest}", small, size=1000, sha256=digest, content_type="image/png")
with tempfile.TemporaryFile() as source:
    digest = hashlib.sha256()
    for number in range(size // 2**20):
        piece = number.to_bytes(4, "big") * 2**18
        digest.update(piece)
        source.write(piece)
    source.seek(0)
    key = f"org/originals/{digest.hexdigest()}"
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the greatest size begins anew
    before = status("VmRSS")
    blobs.put(key, source, size=size, sha256=digest.hexdigest(), content_type="image/png")
    print(status("VmHWM") - before, blobs.size(key) == size)
blobs.close()
"""
BOUND = 10_000_000


@pytest.fixture(params=["file", "gridfs", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, mongodb_url: str
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Give the URL of a store, that of MongoDB, and what the environment must name."""
    if request.param != "s3":
        yield (tmp_path.as_uri() if request.param == "file" else "gridfs://"), mongodb_url, {}
        return
    with run_bucket() as bucket:
        yield "s3://blobs/here", "", dict(bucket.environment)


@pytest.mark.parametrize("megabytes", [5, 25])
def test_a_large_original_is_never_in_memory(store: tuple[str, str, dict[str, str]], megabytes: int) -> None:
    """Storing 25 MB costs less than 10 MB of memory, whichever store it is, and no more than 5 MB do."""
    url, mongodb_url, environment = store
    told = subprocess.run(
        [sys.executable, "-c", PUT, url, mongodb_url, str(megabytes * 2**20)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    cost, stored = told.stdout.split()
    assert stored == "True"
    assert int(cost) < BOUND

"""Check the object store beyond the common suite: configuration, parts, and faults of the wire."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import Iterator
from datetime import timedelta

import pytest

from common.blobs import BlobMismatchError, Blobs, BlobsUnavailableError, objects, open_blobs
from common.blobs.reading import open_reader
from tests.bucket import Bucket, run_bucket
from tests.stores import free_port

LARGE = os.urandom(3 * objects.PART_BYTES + 5)
LARGE_SHA256 = hashlib.sha256(LARGE).hexdigest()
KEY = f"org-1/originals/{LARGE_SHA256}"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket that the provider's usual variables name; one try only, so that faults show at once."""
    monkeypatch.setattr(objects, "_RETRY", {"max_retries": 0, "retry_timeout": timedelta(seconds=1)})
    with run_bucket() as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        yield bucket


@pytest.fixture
def blobs(bucket: Bucket) -> Blobs:
    return open_blobs("s3://blobs/below/here", mongodb_url="")


def _put(blobs: Blobs, source: bytes | io.BytesIO = LARGE) -> None:
    blobs.put(KEY, source, size=len(LARGE), sha256=LARGE_SHA256, content_type="image/png")


def test_url_and_environment_are_all_the_configuration(blobs: Blobs, bucket: Bucket) -> None:
    """The bucket's leading path is kept, and the object bears its content type, small or in parts."""
    _put(blobs)
    blobs.put("org-1/a/b", b"x", size=1, sha256=hashlib.sha256(b"x").hexdigest(), content_type="image/gif")
    held = {key: (body, content_type) for key, (body, _at, content_type) in bucket.objects.items()}
    assert held == {
        f"below/here/{KEY}": (LARGE, "image/png"),
        "below/here/org-1/a/b": (b"x", "image/gif"),
    }
    assert bucket.parts == {}


@pytest.mark.parametrize("wrong", [LARGE[:-1], LARGE[:-1] + b"?"], ids=["short", "changed"])
def test_parts_of_an_upload_that_failed_are_dropped(blobs: Blobs, bucket: Bucket, wrong: bytes) -> None:
    """A source that turns out wrong at its very end leaves no object, and no parts that somebody pays for."""
    with pytest.raises(BlobMismatchError):
        _put(blobs, io.BytesIO(wrong))
    assert bucket.objects == {}
    assert bucket.parts == {}


@pytest.mark.parametrize(
    ("status", "reason"), [(403, "refused"), (401, "refused"), (503, "unreachable"), (500, "unreachable")]
)
def test_a_bucket_that_fails_is_waited_for(blobs: Blobs, bucket: Bucket, status: int, reason: str) -> None:
    """No answer of a provider ends an import; its text, which names the key and the request, is not passed on."""
    _put(blobs)
    bucket.fail_with = status
    for verb in (
        _put,
        lambda blobs: blobs.read(KEY),
        lambda blobs: blobs.size(KEY),
        lambda blobs: blobs.delete(KEY),
    ):
        with pytest.raises(BlobsUnavailableError) as failure:
            verb(blobs)
        assert failure.value.reason == reason
        assert KEY not in str(failure.value)
    with pytest.raises(BlobsUnavailableError, match=reason):
        asyncio.run(open_reader("s3://blobs/below/here", mongodb_url="").stream(KEY))
    bucket.fail_with = None
    assert blobs.read(KEY) == LARGE


def test_a_bucket_that_is_not_there_is_no_missing_blob_for_a_writer(bucket: Bucket) -> None:
    """A misspelt bucket makes imports wait until somebody mends the setting."""
    with pytest.raises(BlobsUnavailableError, match="no_such_bucket"):
        _put(open_blobs("s3://another", mongodb_url=""))


def test_a_bucket_out_of_reach_is_waited_for(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens at the endpoint: that is the store's fault, and the address is kept out of the message."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(BlobsUnavailableError, match="unreachable") as failure:
        _put(open_blobs("s3://blobs", mongodb_url=""))
    assert "127.0.0.1" not in str(failure.value)


def test_a_bucket_that_never_answers_is_given_up(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stalled answer ends at the client's time limit (shortened here) and does not hold the worker."""
    monkeypatch.setattr(objects, "_CLIENT", objects._CLIENT | {"read_timeout": timedelta(seconds=0.3)})
    blobs = open_blobs("s3://blobs", mongodb_url="")
    bucket.stalled.set()
    with pytest.raises(BlobsUnavailableError, match="unreachable"):
        blobs.size(KEY)


def test_a_url_that_cannot_be_used_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in a setting stops the start with a sentence; no store is opened that fails later."""
    for wrong in ("ftp://host/x", "nothing", ""):
        with pytest.raises(ValueError, match="begins with"):
            open_blobs(wrong, mongodb_url="")
    for variable in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(variable)
    with pytest.raises(ValueError, match="cannot be used"):
        open_blobs("az://container/path", mongodb_url="")

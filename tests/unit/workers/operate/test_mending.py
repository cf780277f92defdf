"""`retry` opens failed imports again, `cancel` ends open ones, and both say how many."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta

import pytest
import redis

from common.blobs import open_blobs
from common.queue.depth import depths
from tests.stores import free_port
from tests.unit.workers.operate.conftest import ORGANIZATION, Imports
from workers.operate import mending

ONE, TWO, THREE = (f"1a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d000{number}" for number in (1, 2, 3))
ERROR = {"code": "image_corrupt", "detail": "Broken.", "retryable": False}


def _failed(imports: Imports, import_id: str, *, ago: float = 60, **changes: object) -> None:
    ended = datetime.now(UTC) - timedelta(seconds=ago)
    fields = {"status": "failed", "error": ERROR, "attempts": 8, "updated_at": ended, **changes}
    imports.put(import_id, age=ago + 60, **fields)


def _waiting(imports: Imports) -> dict[str, int]:
    with redis.Redis.from_url(imports.env["REDIS_URL"]) as client:
        return {one.queue: one.waiting for one in depths(client, now=time.time())}


def _status(imports: Imports, import_id: str) -> str:
    found = imports.db.imports.find_one({"_id": import_id})
    assert found is not None
    return str(found["status"])


def test_a_failed_import_is_tried_again_where_it_got_to(imports: Imports) -> None:
    """Its original is stored: only rendered. None, or a wrong one: fetched. Budgets are new, its bell rings."""
    _failed(imports, ONE)
    body, key = b"an original", f"{ORGANIZATION}/originals/{'0' * 64}"
    blobs = open_blobs(imports.env["BLOBS_URL"], mongodb_url=imports.env["MONGODB_URL"])
    digest = hashlib.sha256(body).hexdigest()
    blobs.put(key, body, size=len(body), sha256=digest, content_type="image/jpeg")
    _failed(imports, TWO, original={"key": key, "bytes": len(body)})
    _failed(imports, THREE, original={"key": key, "bytes": len(body) + 1})
    assert imports.json("retry", ONE, TWO.upper(), ONE, THREE) == {"retried": 3, "refused": []}
    found = imports.db.imports.find_one({"_id": ONE})
    assert found is not None
    assert (found["status"], found["attempts"], found["error"]) == ("queued", 0, None)
    assert _status(imports, TWO) == "fetched"
    assert _status(imports, THREE) == "queued"
    assert _waiting(imports) == {"fetch": 2, "render": 1}


def test_what_cannot_be_retried_is_named_with_its_reason(imports: Imports) -> None:
    """The others are retried all the same; the exit code tells that not all could be."""
    _failed(imports, ONE)
    _failed(imports, TWO, record_id=None)
    imports.put(THREE)
    told = imports.json("retry", ONE, TWO, THREE, ORGANIZATION, code=1)
    assert told["retried"] == 1
    assert [one["id"] for one in told["refused"]] == [TWO, THREE, ORGANIZATION]
    assert "queued" in told["refused"][1]["reason"]


def test_a_bulk_retry_takes_what_fits_and_leaves_the_rest(imports: Imports) -> None:
    """By code, by organization and by when it failed; what can never be fetched is not touched."""
    _failed(imports, ONE, ago=60)
    _failed(imports, TWO, ago=3 * 3600)
    _failed(imports, THREE, record_id=None)
    assert imports.json("retry", "--code", "other")["retried"] == 0
    assert imports.json("retry", "--organization", ONE)["retried"] == 0
    assert imports.json("retry", "--code", "image_corrupt", "--since", "2h")["retried"] == 1
    assert (_status(imports, ONE), _status(imports, TWO)) == ("queued", "failed")
    assert "1 import retried" in imports.run("retry", "--status", "failed").stdout
    assert _status(imports, THREE) == "failed"


def test_a_bulk_retry_goes_page_by_page(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a page is retried whole, and the operator hears how far it is."""
    monkeypatch.setattr(mending, "PAGE", 2)
    for number in range(5):
        _failed(imports, f"{number}a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0001")
    result = imports.run("retry", "--status", "failed", "--json")
    assert '"retried": 5' in result.stdout
    assert "4 so far" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        (),
        (ONE, "--code", "image_corrupt"),
        ("--status", "queued"),
        ("--code", "image_corrupt", "--since", "yesterday"),
    ],
)
def test_an_unclear_retry_does_nothing(imports: Imports, words: tuple[str, ...]) -> None:
    """Neither nothing nor two things at once: a mistake must not retry everything."""
    _failed(imports, ONE)
    result = imports.run("retry", *words, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert _status(imports, ONE) == "failed"


def test_times_are_read_in_the_zone_of_the_settings() -> None:
    """`2h` counts back; a time without an offset is the operator's local time."""
    from zoneinfo import ZoneInfo

    now, paris = datetime(2026, 3, 1, 12, tzinfo=UTC), ZoneInfo("Europe/Paris")
    assert mending.moment("2h", now, paris) == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert mending.moment("2026-03-01T08:00", now, paris) == datetime(2026, 3, 1, 7, tzinfo=UTC)
    assert mending.moment("2026-03-01T08:00Z", now, paris) == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert mending.moment(None, now, paris) is None


def test_without_redis_a_retry_is_written_and_left_to_the_sweeper(imports: Imports) -> None:
    """The document is due; that nobody could ring is news and no failure."""
    _failed(imports, ONE)
    result = imports.run("retry", ONE, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert result.exit_code == 0, result.output
    assert "sweeper" in result.stderr
    found = imports.db.imports.find_one({"_id": ONE})
    assert found is not None
    assert found["status"] == "queued"
    assert found["due_at"] <= datetime.now(UTC) + timedelta(seconds=1)


def test_a_cancel_ends_open_imports_and_lets_the_next_one_ring(imports: Imports) -> None:
    """The canceled one's bell is taken back; an ended one is refused."""
    imports.put(ONE, status="fetching", fence=1, owner="w", lease_until=datetime.now(UTC))
    _failed(imports, TWO)
    told = imports.json("cancel", ONE, TWO, code=1)
    assert (told["canceled"], [one["id"] for one in told["refused"]]) == (1, [TWO])
    found = imports.db.imports.find_one({"_id": ONE})
    assert found is not None
    assert found["status"] == "canceled"
    assert "due_at" not in found
    assert imports.run("cancel").exit_code == 2

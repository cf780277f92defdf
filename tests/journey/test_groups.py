"""A whole Case in one call, through real processes: listed, expanded, imported, asked for again, canceled."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.journey.albums import GROUPS, ask, fill, finished, keep, look, members, picture
from tests.world import World

SEVEN = ["id", "album_id", "status", "counts", "existing", "skipped", "created_at"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("groups")) as world:
        yield world


def test_a_case_is_imported_by_one_call(world: World) -> None:
    """Every picture becomes one image for about one call each; what is left out says why; pages show all once."""
    amount = 24
    case_id, records = fill(world, amount)
    mail = keep(world, "EmailMessage", ParentId=case_id)
    left_out = {
        world.attach("a.pdf", b"%PDF-1.4", parent_id=case_id, content_type="application/pdf"): "not_an_image",
        world.attach("image001.png", b"tiny", parent_id=mail, content_type="image/png"): "signature_logo",
        keep(
            world, "ContentVersion", picture(0), PathOnClient="again.jpg", FirstPublishLocationId=case_id
        ): "duplicate_content",
    }
    world.control("DELETE", "stats")
    asked = ask(world, case_id)
    assert list(asked) == SEVEN
    assert (asked["status"], sum(asked["counts"].values()), asked["skipped"]) == ("queued", 0, [])
    group = finished(world, asked["id"])
    assert list(group) == [*SEVEN, "skipped_counts"]
    assert group["skipped_counts"] == Counter(left_out.values())
    assert group["counts"]["succeeded"] == sum(group["counts"].values()) == amount
    skipped = {one["record_id"]: one["code"] for one in group["skipped"]}
    # Which of two files with one content is listed first is the source's choice.
    assert sorted(skipped.values()) == sorted(left_out.values())
    assert set(skipped) <= records | set(left_out)
    shown = members(world, group["id"], limit=10)
    assert len({one["id"] for one in shown}) == amount
    assert {one["params"]["attachment_id"] for one in shown} == (records | set(left_out)) - set(skipped)
    assert all(one["album_id"] == case_id and one["status"] == "succeeded" for one in shown)
    assert sum(document["calls"] for document in world.db.imports.find({"group_id": group["id"]})) == amount
    world.accepted = {one["id"]: "" for one in shown}
    world.idle()
    assert world.audit().faults() == {}


def test_the_same_call_again_brings_only_what_is_new(world: World) -> None:
    """What is there is counted as existing, a failed import is tried again, and a new picture is brought."""
    case_id, _records = fill(world, 3)
    bad = world.attach("bad.jpg", b"\xff\xd8\xff no picture", parent_id=case_id)
    first = finished(world, ask(world, case_id)["id"])
    assert (first["counts"]["succeeded"], first["counts"]["failed"]) == (3, 1)
    world.attach("new.jpg", picture(900), parent_id=case_id)
    second = finished(world, ask(world, case_id, include_emails="true")["id"])
    assert (second["counts"]["succeeded"], second["existing"]) == (1, 4)
    failed = world.db.imports.find_one({"record_id": bad})
    world.until(lambda: world.document(failed["_id"])["status"] == "failed")
    events = [entry["event"] for entry in world.document(failed["_id"])["history"]]
    assert events.count("retried") == 1


def test_an_expansion_that_is_killed_is_begun_anew_without_doubles(world: World) -> None:
    """Kill -9 of the fetch worker in mid-listing: the group is listed by another, each picture once."""
    case_id, _records = fill(world, 12)
    world.control("POST", "faults", {"kind": "delay", "seconds": 1.5, "path": "/query", "times": None})
    asked = ask(world, case_id)
    world.until(lambda: world.db.import_groups.find_one({"_id": asked["id"], "status": "expanding"}))
    time.sleep(1.0)
    gone = world.pid("fetch")
    for worker in world.workers("fetch"):
        os.kill(worker, signal.SIGKILL)
    world.kill("fetch")
    world.back("fetch", gone)
    world.control("DELETE", "faults")
    group = finished(world, asked["id"], seconds=90)
    assert group["counts"]["succeeded"] == sum(group["counts"].values()) == 12
    kept = world.db.import_groups.find_one({"_id": asked["id"]})
    assert kept["fence"] >= 2


def test_a_canceled_group_ends_its_imports(world: World) -> None:
    """Cancel answers at once; within moments nothing of the group is open, and what was done stays done."""
    case_id, _records = fill(world, 40)
    world.control(
        "POST", "faults", {"kind": "delay", "seconds": 0.5, "path": "/(Body|VersionData)$", "times": None}
    )
    asked = ask(world, case_id)
    world.until(lambda: look(world, asked["id"])["counts"]["succeeded"] >= 1)
    answer = world.http.post(f"{world.url}{GROUPS}/{asked['id']}/cancel", timeout=30)
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")

    def at_rest() -> bool:
        counts = look(world, asked["id"])["counts"]
        return counts["canceled"] > 0 and not any(
            counts[one] for one in ("queued", "fetching", "fetched", "rendering")
        )

    world.until(at_rest, seconds=30)
    world.control("DELETE", "faults")
    counts = look(world, asked["id"])["counts"]
    assert counts["canceled"] + counts["succeeded"] == 40


def test_a_dry_run_tells_and_writes_nothing(world: World) -> None:
    """Online the source is asked by a worker: the record's row, a group's counts; no document, no blob is made."""
    case_id, records = fill(world, 3)
    before = [world.db[name].count_documents({}) for name in ("imports", "import_groups", "images")]
    told = ask(world, case_id, "?dry_run=online")
    assert list(told) == ["dry_run", "accepted", "problems", "counts", "api_calls"]
    assert (told["accepted"], told["counts"]) == (True, {"new": 3, "existing": 0, "skipped": 0})
    one = sorted(records)[0]
    answer = world.http.post(
        f"{world.url}/api/v1/imports?dry_run=online", data={"attachment_id": one}, timeout=30
    )
    single = answer.json()
    assert list(single) == ["dry_run", "accepted", "problems", "record", "reuses", "api_calls"]
    assert (single["accepted"], single["reuses"], single["api_calls"]) == (True, None, 1)
    assert single["record"]["id"] == one
    assert single["record"]["size"] > 0
    missing = world.http.post(
        f"{world.url}/api/v1/imports?dry_run=online", data={"attachment_id": "00P000000000000"}, timeout=30
    ).json()
    assert missing["accepted"] is False
    assert [problem["code"] for problem in missing["problems"]] == ["attachment_not_found"]
    after = [world.db[name].count_documents({}) for name in ("imports", "import_groups", "images")]
    assert after == before


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_hundred_pictures_through_two_deaths_of_the_workers(world: World) -> None:
    """One call, 500 children, all ended, one login; killed twice in the middle, no double.

    No blob is downloaded twice but those whose downloads were under way when the worker died.
    """
    amount, killed = 500, Counter[str]()
    case_id, records = fill(world, amount)
    world.control("DELETE", "stats")
    asked = ask(world, case_id)
    for least in (20, 200):
        world.until(lambda least=least: look(world, asked["id"])["counts"]["succeeded"] >= least, seconds=180)
        gone = world.pid("fetch")
        for worker in world.workers("fetch"):
            os.kill(worker, signal.SIGKILL)
        world.kill("fetch")
        held = world.db.imports.find({"group_id": asked["id"], "status": "fetching"}, {"record_id": 1})
        killed.update(one["record_id"] for one in held)
        world.back("fetch", gone)
    group = finished(world, asked["id"], seconds=300)
    assert group["counts"]["succeeded"] == sum(group["counts"].values()) == amount
    shown = members(world, asked["id"])
    assert {one["params"]["attachment_id"] for one in shown} == records
    assert world.db.images.count_documents({"album_id": case_id}) == amount
    stats = world.control("GET", "stats")
    calls = sum(number for kind, number in stats["calls"].items() if kind != "login")
    assert calls <= amount * 1.1, stats
    assert stats["logins"] <= 1, stats
    again = {one: number - 1 for one, number in stats["blobs"].items() if number > 1}
    assert all(number <= killed[one] for one, number in again.items()), (again, killed)

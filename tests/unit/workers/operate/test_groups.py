"""`imports group`: an operator sees what a group does, and ends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common.documents.database import Document
from common.documents.groups import new_group
from common.queue.broker import door_client, producer
from common.queue.jobs import AnswerDryRun, ExpandGroup, message
from tests.unit.workers.operate.conftest import ORGANIZATION, Imports

GROUP = "3f0c1a52-5b7e-4b53-9d3f-0a6f5e2b7c11"
CHILD = "1a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0001"


def put(imports: Imports) -> None:
    """Write a group that listed three records: one import, one existing, one left out."""
    imports.db.import_groups.insert_one(
        {**asked_for(), "status": "expanded", "children": 1, "existing": 1, "fence": 1}
    )
    skips = [{"record_id": "a", "code": "not_an_image"}]
    imports.db.group_skips.insert_one({"group_id": GROUP, "fence": 1, "page": 0, "skips": skips})
    imports.put(CHILD, group_id=GROUP, group_position=0)


def asked_for(*, age: float = 0) -> Document:
    """Return a group as the door writes it, so many seconds ago."""
    return new_group(
        GROUP,
        organization_id=ORGANIZATION,
        user_id="u",
        request_id=None,
        album_id="5005800000HEXCtAAP",
        source_type="salesforce",
        options={},
        now=datetime.now(UTC) - timedelta(seconds=age),
        due_in=5,
    )


def test_a_group_is_found_and_told(imports: Imports) -> None:
    """`list` has it, `show` counts its imports by state and what was left out by reason; people read the same."""
    put(imports)
    (listed,) = imports.json("group", "list")
    assert (listed["id"], listed["imports"]) == (GROUP, 1)
    assert imports.json("group", "list", "--organization", "another") == []
    told = imports.json("group", "show", GROUP.upper())
    assert told["counts"]["queued"] == 1
    assert told["skipped"] == {"not_an_image": 1}
    assert "not_an_image" in imports.run("group", "show", GROUP).output


def test_a_group_is_canceled_for_the_sweeper_to_finish(imports: Imports) -> None:
    """`cancel` marks it; again it changes nothing; an unknown one is said to be unknown."""
    put(imports)
    for _ in range(2):
        assert imports.json("group", "cancel", GROUP) == {"canceled": GROUP}
    kept = imports.db.import_groups.find_one({"_id": GROUP})
    assert kept is not None
    assert (kept["status"], kept["canceling"]) == ("canceled", True)
    assert imports.run("group", "cancel", CHILD).exit_code == 1


@pytest.mark.parametrize(("group", "child"), [("failed", "queued"), ("expanded", "succeeded")])
def test_a_group_that_has_ended_is_left_as_it_is(imports: Imports, group: str, child: str) -> None:
    """One that failed, or whose last import has ended, cannot be canceled: exit code 1 says so, nothing changes."""
    put(imports)
    imports.db.import_groups.update_one({"_id": GROUP}, {"$set": {"status": group}})
    imports.db.imports.update_one({"_id": CHILD}, {"$set": {"status": child}})
    before = imports.db.import_groups.find_one({"_id": GROUP})
    result = imports.run("group", "cancel", GROUP)
    assert result.exit_code == 1
    assert "has ended already" in result.output
    assert imports.db.import_groups.find_one({"_id": GROUP}) == before


def test_a_group_that_nobody_lists_is_found_and_woken(imports: Imports) -> None:
    """Long overdue, it is named by `verify` and `doctor`; `repair` makes it due and rings; then all agrees."""
    imports.json("prepare")
    imports.db.import_groups.insert_one(asked_for(age=500))
    (finding,) = imports.json("verify", code=1)["findings"]
    assert (finding["kind"], finding["id"]) == ("group_stuck", GROUP)
    told = {one["name"]: one for one in imports.json("doctor", code=1)}
    assert told["groups"]["state"] == "bad"
    assert GROUP in told["groups"]["detail"]
    assert [one["outcome"] for one in imports.json("repair")["findings"]] == ["repaired"]
    client = door_client(imports.env["REDIS_URL"])
    assert client.llen("dramatiq:fetch") == 1
    client.close()
    assert imports.json("verify")["findings"] == []
    assert {one["name"]: one["state"] for one in imports.json("doctor", code=1)}["groups"] == "ok"


def test_bells_of_groups_and_questions_are_no_strangers(imports: Imports) -> None:
    """A message that names a group or a question agrees; one that names a group that is not there does not."""
    imports.json("prepare")
    imports.db.import_groups.insert_one(asked_for())
    client = door_client(imports.env["REDIS_URL"])
    for job in (ExpandGroup(GROUP), AnswerDryRun(CHILD)):
        producer(client).enqueue(message(job))
    assert imports.json("verify")["findings"] == []
    imports.db.import_groups.delete_many({})
    (finding,) = imports.json("verify", code=1)["findings"]
    assert finding["kind"] == "message_without_import"
    assert GROUP in finding["detail"]
    imports.json("repair")
    assert client.llen("dramatiq:fetch") == 1, "the question is still asked"
    client.close()

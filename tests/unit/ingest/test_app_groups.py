"""The routes of import groups: what they take, what they answer, whose they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.documents.groups import new_group
from common.documents.new_imports import accepted
from tests.doors import FORM, NOW, ORGANIZATION_ID, OTHER_USER_ID, USER_ID, Door, KeptGroups

PATH = "/api/v1/import_groups"
CASE = "5005800000HEXCtAAP"
GROUP_ID = "3f0c1a52-5b7e-4b53-9d3f-0a6f5e2b7c11"
JSON = ("Content-Type", "application/json")


def kept(**fields: Any) -> KeptGroups:
    group = new_group(
        GROUP_ID,
        organization_id=ORGANIZATION_ID,
        user_id=USER_ID,
        request_id="r",
        album_id=CASE,
        source_type="salesforce",
        options={},
        now=NOW,
        due_in=5,
    )
    return KeptGroups({**group, **fields})


def test_a_group_is_written_down_and_rung_for() -> None:
    """A form with a Case's id is answered 200 with seven keys in their order, durable, and its job is asked for."""
    with Door() as door:
        answer = door.call("POST", PATH, headers=[FORM], body=f"album_id={CASE[:15]}&kinds=file".encode())
        assert answer.status == 200
        assert answer.body.decode() == (
            '{"id":"00000000-0000-4000-8000-000000000000","album_id":"5005800000HEXCtAAP","status":"queued",'
            '"counts":{"queued":0,"fetching":0,"fetched":0,"rendering":0,"succeeded":0,"failed":0,"canceled":0},'
            '"existing":0,"skipped":[],"created_at":"2019-04-08T17:38:57.787Z"}'
        )
        (group,) = door.groups.documents.values()
        assert answer["location"] == f"{PATH}/{group['_id']}"
        assert answer["x-token"] is not None
        assert door.rung == [("expand", group["_id"])]
        assert group["options"] == {
            "created_since": None,
            "max_bytes": None,
            "kinds": ["ContentVersion"],
            "include_emails": True,
        }


def test_options_are_read_in_json_as_in_a_form() -> None:
    """Types survive in JSON and are read from text in a form; both come to the same."""
    asked = {"album_id": CASE, "created_since": "2026-03-01", "max_bytes": 5, "include_emails": False}
    form = f"album_id={CASE}&created_since=2026-03-01T00:00:00Z&max_bytes=5&include_emails=false&kinds="
    options = []
    for headers, body in ((JSON, json.dumps(asked).encode()), (FORM, form.encode())):
        with Door() as door:
            assert door.call("POST", PATH, headers=[headers], body=body).status == 200
            options += [group["options"] for group in door.groups.documents.values()]
    assert options[0] == options[1]
    assert options[0]["created_since"].isoformat() == "2026-03-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("body", "code", "pointers"),
    [
        ({}, "album_id_invalid", ["#/album_id"]),
        ({"album_id": "00P4I00000zyw3eUAA"}, "album_id_invalid", ["#/album_id"]),
        ({"album_id": CASE[:-1] + "A"}, "album_id_invalid", ["#/album_id"]),
        ({"album_id": [CASE]}, "album_id_invalid", ["#/album_id"]),
        ({"album_id": CASE, "import_type": "other"}, "import_type_unknown", ["#/import_type"]),
        (
            {"album_id": CASE, "kinds": ["Lead"], "max_bytes": 0},
            "parameter_invalid",
            ["#/max_bytes", "#/kinds"],
        ),
        ({"album_id": CASE, "created_since": 5}, "parameter_invalid", ["#/created_since"]),
        ({"album_id": CASE, "max_bytes": True}, "parameter_invalid", ["#/max_bytes"]),
        ({"album_id": CASE, "include_emails": "maybe"}, "parameter_invalid", ["#/include_emails"]),
    ],
)
def test_a_group_without_a_meaning_is_refused(body: dict[str, Any], code: str, pointers: list[str]) -> None:
    """422 names every parameter at fault, and nothing is written down."""
    with Door() as door:
        answer = door.call("POST", PATH, headers=[JSON], body=json.dumps(body).encode())
        assert (answer.status, answer.json()["code"]) == (422, code)
        assert [one["pointer"] for one in answer.json()["errors"]] == pointers
        assert answer["x-token"] is None
        assert not door.groups.documents
        assert not door.rung


@pytest.mark.parametrize("path", [f"{PATH}/{GROUP_ID}", f"{PATH}/{GROUP_ID}/imports"])
def test_another_organizations_group_is_not_there(path: str) -> None:
    """What is not yours answers like what does not exist, byte for byte."""
    with Door(groups=kept()) as door:
        theirs = door.call("GET", path, token=door.token(OTHER_USER_ID))
        none = door.call("GET", path.replace(GROUP_ID, GROUP_ID[:-1] + "2"))
        assert (theirs.status, none.status) == (404, 404)
        assert theirs.json() | {"instance": ""} == none.json() | {"instance": ""}
        assert door.call("POST", f"{PATH}/{GROUP_ID}/cancel", token=door.token(OTHER_USER_ID)).status == 404


@pytest.mark.parametrize(
    ("fields", "tally", "status"),
    [
        ({}, {}, "queued"),
        ({"status": "expanding"}, {"queued": 3}, "expanding"),
        ({"status": "expanded"}, {"rendering": 1, "succeeded": 2}, "importing"),
        ({"status": "expanded"}, {"failed": 1, "succeeded": 2}, "finished"),
        ({"status": "canceled"}, {"queued": 1}, "canceled"),
    ],
)
def test_a_group_tells_how_far_it_is(fields: dict[str, Any], tally: dict[str, int], status: str) -> None:
    """It is finished when its last import has ended, however they ended."""
    groups = kept(**fields)
    groups.tally = tally
    with Door(groups=groups) as door:
        shown = door.call("GET", f"{PATH}/{GROUP_ID}").json()
    assert shown["status"] == status
    assert list(shown) == ["id", "album_id", "status", "counts", "existing", "skipped", "created_at"]


def test_a_group_that_could_not_be_listed_says_why() -> None:
    """The error follows the seven keys; without one it is not there."""
    error = {"code": "attachment_refused", "detail": "No.", "retryable": False}
    with Door(groups=kept(status="failed", error=error)) as door:
        shown = door.call("GET", f"{PATH}/{GROUP_ID}").json()
    assert (shown["status"], shown["error"]) == ("failed", error)


def test_imports_are_paged_by_their_places() -> None:
    """Each page holds what stands at its places, gaps included; following links.next shows everything once."""
    groups = kept(positions=7, status="expanded")
    groups.members = [child(place) for place in (0, 1, 2, 4, 6)]
    found, more = [], f"{PATH}/{GROUP_ID}/imports?limit=3"
    with Door(groups=groups) as door:
        while more:
            page = door.call("GET", more).json()
            assert len(page["data"]) <= 3
            found += [one["id"] for one in page["data"]]
            more = page["links"]["next"]
    assert found == [one["_id"] for one in groups.members]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("cursor=x", 400),
        ("cursor=cC01", 400),
        ("cursor", 200),
        ("limit=0", 422),
        ("limit=201", 422),
        ("limit=a", 422),
    ],
)
def test_a_page_that_nobody_gave_out_is_refused(query: str, status: int) -> None:
    """Cursors are opaque and checked; a page is bounded."""
    with Door(groups=kept()) as door:
        assert door.call("GET", f"{PATH}/{GROUP_ID}/imports?{query}").status == status


def test_cancel_is_for_what_is_under_way() -> None:
    """Canceled it is shown so; one that is finished stays finished, and one that failed stays failed."""
    error = {"code": "attachment_refused", "detail": "No.", "retryable": False}
    for fields, status in (
        ({"status": "expanding"}, "canceled"),
        ({"status": "expanded"}, "finished"),
        ({"status": "failed", "error": error}, "failed"),
    ):
        with Door(groups=kept(**fields)) as door:
            assert door.call("POST", f"{PATH}/{GROUP_ID}/cancel").json()["status"] == status
            assert (door.groups.documents[GROUP_ID]["status"] == "canceled") == (status == "canceled")


def child(place: int) -> dict[str, Any]:
    document = accepted(
        f"00000000-0000-5000-8000-{place:012}",
        organization_id=ORGANIZATION_ID,
        user_id=USER_ID,
        params="{}",
        import_type="salesforce",
        album_id=CASE,
        filename="a.jpg",
        metadatas=None,
        source_type="salesforce",
        record_id="00P4I00000zyw3eUAA",
        request_id="r",
        now=NOW,
        due_in=5,
    )
    return {**document, "group_id": GROUP_ID, "group_position": place}

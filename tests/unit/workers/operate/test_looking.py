"""`list` finds imports, `show` tells one's whole story."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingest import present
from tests.unit.workers.operate.conftest import ORGANIZATION, Imports
from workers.operate import story

ONE, TWO, THREE = (f"1a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d000{number}" for number in (1, 2, 3))
GET_KEYS = [
    *("id", "organization_id", "image_id", "import_type", "album_id", "params", "created_at", "updated_at"),
    *("status", "error", "attempts", "calls", "waiting_for", "expected_at", "next_attempt_at"),
    *("stages", "links"),
]
CORRUPT = {"code": "image_corrupt", "detail": "The picture is broken.", "retryable": False}


def test_names_are_cut_and_marked_in_tables(imports: Imports) -> None:
    """A name of a megabyte does not fill the terminal, and one with controls does not turn its line round."""
    imports.organization()
    imports.put(ONE, filename="\u202egpj.\u200bexe\x9b31m" + "x" * 2**20)
    shown = imports.run("show", ONE).stdout
    assert "�gpj.�exe�31mxxx" in shown
    assert len(shown) < 10_000
    assert len(imports.run("list").stdout) < 10_000


def _in(seconds: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


def test_the_story_for_machines_is_the_get_document_with_more(imports: Imports) -> None:
    """The GET document's keys come first and in order; times are in TIME_ZONE; no number is rounded."""
    begun = _in(-5)
    imports.put(ONE, stages={"fetch": {"started_at": begun, "ended_at": None, "attempts": 1}})
    story = imports.json("show", ONE.upper())
    assert list(story) == [*GET_KEYS, "deliveries", "history"]
    assert story["id"] == ONE
    assert story["params"]["big"] == 123456789012345678901234567890
    assert datetime.fromisoformat(story["stages"]["fetch"]["started_at"]) == begun
    assert story["created_at"].endswith((".000+01:00", ".000+02:00"))
    assert story["history"][0]["event"] == "queued"
    assert story["links"]["self"] == f"/api/v1/imports/{ONE}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Waits in queue fetch for a free worker"),
        (
            {"status": "fetching", "owner": "fetch:host:7", "fence": 3, "lease_until": _in(9)},
            "Worker fetch:host:7 is busy with it",
        ),
        (
            {
                "waiting_for": "retry",
                "not_before": _in(9_000),
                "due_at": _in(9_000),
                "stages": {"fetch": {"attempts": 2}},
                "history": [{"at": _in(-9), "event": "queued", "code": "answer_truncated"}],
            },
            "Attempt 2 of fetch ended in answer_truncated; waits for the next one. Looked at again at",
        ),
        ({"waiting_for": "blobs"}, "Waits for blobs, which counts nothing"),
        ({"status": "failed", "error": CORRUPT}, f"`imports retry {ONE}` tries it again"),
        ({"status": "failed", "error": CORRUPT, "record_id": None}, "submit it anew"),
        ({"status": "canceled"}, "Canceled by an operator"),
        ({"status": "succeeded", "image_id": TWO}, f"Done: image {TWO}"),
    ],
)
def test_the_story_for_people_says_why_and_what_next(
    imports: Imports, changes: dict[str, Any], said: str
) -> None:
    """Whatever state an import is in, a sentence explains it and its history follows."""
    imports.organization()
    imports.put(ONE, **changes)
    result = imports.run("show", ONE)
    assert result.exit_code == 0, result.exception
    assert said in result.stdout
    assert "(Acme)" in result.stdout


@pytest.mark.parametrize(
    ("organization", "said"),
    [
        ({"disabled_at": _in(-60)}, f"imports organization enable {ORGANIZATION}"),
        (
            {
                "gate": {
                    "waiting_for": "salesforce_quota",
                    "code": "salesforce_quota",
                    "detail": "Salesforce allows no more calls today.",
                    "since": _in(-60),
                    "probe_at": _in(60),
                    "wait": 60,
                }
            },
            "Salesforce allows no more calls today. All its imports wait, none of it counts",
        ),
    ],
)
def test_the_story_knows_of_the_organization(
    imports: Imports, organization: dict[str, Any], said: str
) -> None:
    """An import that waits through no fault of its own says whose it is and when that is tried again."""
    imports.organization(**organization)
    imports.put(ONE)
    assert said in imports.run("show", ONE).stdout


def test_an_image_is_shown_with_its_thumbnails(imports: Imports) -> None:
    """An operator sees what came of it without asking the API."""
    imports.put(ONE, status="succeeded", image_id=TWO)
    small = {"name": "small", "width": 160, "height": 107, "bytes": 4321}
    image = {"_id": TWO, "width": 3000, "height": 2000, "content_type": "image/jpeg", "thumbnails": [small]}
    imports.db.images.insert_one(image)
    shown = imports.run("show", ONE).stdout
    assert "3000 x 2000" in shown
    assert "160 x 107" in shown


def test_control_codes_in_a_filename_do_not_reach_the_terminal(imports: Imports) -> None:
    """What a client sent cannot move the cursor, set colours or be read as markup."""
    imports.put(ONE, filename="a\x1b[2Jb[red]c\r")
    shown = imports.run("show", ONE).stdout
    assert "\x1b[2J" not in shown
    assert "[2Jb[red]c" in shown


def test_an_unknown_import_is_not_found(imports: Imports) -> None:
    """Exit code 1 and a sentence; with --json still nothing on standard output."""
    result = imports.run("show", ONE, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no import" in result.stderr


def test_lists_are_filtered_and_limited(imports: Imports) -> None:
    """The latest come first; each filter holds alone and with the others."""
    imports.put(ONE, age=30 * 86400, status="failed", error=CORRUPT)
    imports.put(TWO, age=60)
    imports.put(THREE, age=5, organization_id=TWO)

    def ids(*words: str) -> list[str]:
        return [one["id"] for one in imports.json("list", *words)]

    assert ids() == [THREE, TWO, ONE]
    assert ids("--limit", "1") == [THREE]
    assert ids("--status", "failed") == [ONE]
    assert ids("--code", "image_corrupt") == [ONE]
    assert ids("--code", "image_corrupt", "--organization", TWO) == []
    assert ids("--organization", ORGANIZATION) == [TWO, ONE]
    assert imports.run("list", "--status", "lost").exit_code == 2
    table = imports.run("list").stdout
    assert "image_corrupt" in table
    assert ONE in table


def test_the_tries_tell_deaths_from_bad_answers(imports: Imports) -> None:
    """The claim of a worker that is busy is no death; those before it are."""
    busy = {"status": "rendering", "owner": "w", "lease_until": _in(9), "fence": 4, "deliveries": 3}
    imports.put(ONE, **busy, attempts=1)
    imports.put(TWO)
    assert (
        "claimed 4x, 1x the answer was no good, 2x the worker died with it" in imports.run("show", ONE).stdout
    )
    assert "none yet" in imports.run("show", TWO).stdout


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"status": "failed", "error": CORRUPT, "attempts": 3, "stages": {"fetch": {"started_at": _in(-9)}}},
        {"status": "succeeded", "image_id": TWO},
        {"waiting_for": "retry", "not_before": _in(60)},
    ],
)
def test_operators_and_clients_read_the_same(imports: Imports, changes: dict[str, Any]) -> None:
    """The door's own presenter writes the same keys with the same values, in the same order."""
    imports.put(ONE, **changes)
    document = imports.db.imports.find_one({"_id": ONE})
    assert document is not None
    links = story.links(document)
    shown = present.with_state(document, zone=ZoneInfo("Europe/Paris"), links=links)
    told = list(imports.json("show", ONE).items())
    assert told[:-2] == list(json.loads(shown).items())

"""An import is shown with the contract's eight keys first, and its times as the original wrote them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingest import params, present

PARIS, LONDON, UTC_ZONE = ZoneInfo("Europe/Paris"), ZoneInfo("Europe/London"), ZoneInfo("UTC")
MOMENT = datetime(2019, 4, 8, 17, 38, 57, 787999, tzinfo=UTC)
EIGHT = ["id", "organization_id", "image_id", "import_type", "album_id", "params", "created_at", "updated_at"]


def kept(**changes: Any) -> dict[str, Any]:
    """Return an import's document as the store holds it."""
    return {
        "_id": "ab445ced-80a2-4659-beaa-e1e9b28edee5",
        "organization_id": "91e4e020-bd76-4615-baf0-63263c5f3416",
        "image_id": None,
        "import_type": None,
        "album_id": None,
        "params": '{"controller":"api/v1/imports","action":"create"}',
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "status": "queued",
        "error": None,
        "attempts": 0,
        "waiting_for": None,
        "not_before": None,
        "stages": {},
        "fence": 0,
        "user_id": "never shown",
        **changes,
    }


@pytest.mark.parametrize(
    ("moment", "zone", "written"),
    [
        (MOMENT, PARIS, "2019-04-08T19:38:57.787+02:00"),
        (MOMENT, UTC_ZONE, "2019-04-08T17:38:57.787Z"),
        (MOMENT, ZoneInfo("Etc/UTC"), "2019-04-08T17:38:57.787Z"),
        (MOMENT, LONDON, "2019-04-08T18:38:57.787+01:00"),
        (datetime(2019, 1, 1, tzinfo=UTC), LONDON, "2019-01-01T00:00:00.000+00:00"),
        (datetime(2019, 1, 1, tzinfo=UTC), ZoneInfo("America/St_Johns"), "2018-12-31T20:30:00.000-03:30"),
        (
            datetime(2019, 1, 1, 5, 0, 0, 999, tzinfo=timezone(timedelta(hours=5))),
            UTC_ZONE,
            "2019-01-01T00:00:00.000Z",
        ),
        (datetime(2019, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), UTC_ZONE, "2019-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_cut_to_milliseconds_in_the_zone_asked_for(
    moment: datetime, zone: ZoneInfo, written: str
) -> None:
    """Never rounded, always three decimals; `Z` for UTC and numbers for any other zone."""
    assert present.timestamp(moment, zone) == written


def test_an_import_without_parameters_has_all_eight_keys() -> None:
    """What was not sent is null, and nothing of the document but the eight is shown."""
    shown = present.document(kept(), zone=UTC_ZONE)
    assert list(json.loads(shown)) == EIGHT
    assert shown.startswith(b'{"id":"ab445ced-80a2-4659-beaa-e1e9b28edee5","organization_id":"91e4')
    assert b'"image_id":null,"import_type":null,"album_id":null,"params":{"controller"' in shown
    assert shown.endswith(b'"created_at":"2019-04-08T17:38:57.787Z","updated_at":"2019-04-08T17:38:57.787Z"}')


def test_the_echo_comes_out_as_it_was_frozen() -> None:
    """Whatever JSON can hold passes through the store's text unharmed, escaped as everything is."""
    deep: Any = "x"
    for _ in range(99):
        deep = [deep]
    body = {
        "\0": {"$where": 2**90, "a.b": "</script>\u2028é"},
        "deep": deep,
        "f": [1.5, -0.0, 1e22],
        "b": False,
    }
    merged = params.merged(
        body=json.dumps(body).encode(), content_type="application/json", query=b"", format=None
    )
    shown = present.document(kept(params=params.frozen(merged), album_id="<&>"), zone=UTC_ZONE)
    assert json.loads(shown)["params"] == merged
    assert json.loads(shown)["album_id"] == "<&>"
    assert b"\\u003c/script\\u003e\\u2028" in shown
    assert b"1.0e+22" in shown


def test_a_number_beyond_every_float_is_echoed_as_null() -> None:
    """Even in an array: it is no null when nulls are removed."""
    merged = params.merged(
        body=b'{"a":[1e400,null],"b":-1e400}', content_type="application/json", query=b"", format=None
    )
    assert params.frozen(merged).startswith('{"a":[null],"b":null,')


def test_the_state_follows_the_eight() -> None:
    """In its order, with times written like the others, and only the public part of an error."""
    document = kept(
        image_id="5d7c1d0e-2f0a-5a6e-9a0e-000000000000",
        status="failed",
        error={"code": "image_corrupt", "detail": "<broken>", "retryable": False, "trace": "never shown"},
        attempts=2,
        calls=3,
        waiting_for="organization",
        expected_at=MOMENT,
        not_before=MOMENT,
        stages={
            "fetch": {"started_at": MOMENT, "ended_at": None},
            "render": {"started_at": MOMENT, "ended_at": MOMENT},
        },
    )
    written = "2019-04-08T19:38:57.787+02:00"
    found = json.loads(present.with_state(document, zone=PARIS, links={"self": "/api/v1/imports/x"}))
    assert list(found) == [
        *EIGHT,
        "status",
        "error",
        "attempts",
        "calls",
        "waiting_for",
        "expected_at",
        "next_attempt_at",
        "stages",
        "links",
    ]
    assert list(found.items())[8:] == [
        ("status", "failed"),
        ("error", {"code": "image_corrupt", "detail": "<broken>", "retryable": False}),
        ("attempts", 2),
        ("calls", 3),
        ("waiting_for", "organization"),
        ("expected_at", written),
        ("next_attempt_at", written),
        (
            "stages",
            {
                "fetch": {"started_at": written, "ended_at": None},
                "render": {"started_at": written, "ended_at": written},
            },
        ),
        ("links", {"self": "/api/v1/imports/x"}),
    ]


def test_a_get_begins_with_the_bytes_of_the_post() -> None:
    """A client that compares the two sees one import."""
    shown = present.with_state(kept(), zone=UTC_ZONE, links={})
    assert shown.startswith(
        present.document(kept(), zone=UTC_ZONE)[:-1] + b',"status":"queued","error":null,'
    )
    assert shown.endswith(b'"next_attempt_at":null,"stages":{},"links":{}}')

"""Replay the exchange of the user's own document, and compare every header and every byte."""

from __future__ import annotations

import re

from tests.doors import FORM, Door

BODY = (
    b"album_id=5005800000HEXCtAAP&filename=Image123.jpg&import_type=salesforce"
    b"&metadatas[attachmentId]=00P4I00000zyw3eUAA&attachment_id=00P4I00000zyw3eUAA"
)
ANSWER = (
    b'{"id":"ab445ced-80a2-4659-beaa-e1e9b28edee5",'
    b'"organization_id":"91e4e020-bd76-4615-baf0-63263c5f3416","image_id":null,'
    b'"import_type":"salesforce","album_id":"5005800000HEXCtAAP",'
    b'"params":{"album_id":"5005800000HEXCtAAP","filename":"Image123.jpg","import_type":"salesforce",'
    b'"metadatas":{"attachmentId":"00P4I00000zyw3eUAA"},"attachment_id":"00P4I00000zyw3eUAA",'
    b'"controller":"api/v1/imports","action":"create"},'
    b'"created_at":"2019-04-08T19:38:57.787+02:00","updated_at":"2019-04-08T19:38:57.787+02:00"}'
)
SAME = {
    "cache-control": "no-cache, no-store",
    "pragma": "no-cache",
    "expires": "Fri, 01 Jan 1990 00:00:00 GMT",
    "content-type": "application/json; charset=utf-8",
    "vary": "Accept-Encoding",
    "p3p": 'CP="NOI ADM DEV PSAi COM NAV OUR OTRo STP IND DEM"',
    "x-request-id": "20e11784-6c4f-4f81-a530-4dcebe62cf4a",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "x-xss-protection": "1; mode=block",
    "x-download-options": "noopen",
    "x-permitted-cross-domain-policies": "none",
    "referrer-policy": "origin-when-cross-origin, strict-origin-when-cross-origin",
    "content-length": "498",
}


def seed_door() -> Door:
    """Return a door at the seed's moment and place, that will make the seed's ids."""
    return Door(
        ids=["20e11784-6c4f-4f81-a530-4dcebe62cf4a", "ab445ced-80a2-4659-beaa-e1e9b28edee5"],
        zone="Europe/Paris",
    )


def test_the_seeds_exchange_is_answered_to_the_byte() -> None:
    """The request of the document gets its 200, its 498 bytes, and its headers with their values."""
    with seed_door() as door:
        answer = door.call("POST", "/api/v1/imports", headers=[FORM, ("Cookie", "")], body=BODY)
    assert answer.status == 200
    assert answer.body == ANSWER
    assert len(answer.body) == 498
    received = dict(answer.headers)
    assert len(received) == len(answer.headers), "no header stands there twice"
    assert received.pop("x-token") == door.token(), "minted this very second, it comes back as it is"
    assert re.fullmatch(r"\d+\.\d{6}", received.pop("x-runtime"))
    assert received.pop("location") == "/api/v1/imports/ab445ced-80a2-4659-beaa-e1e9b28edee5"
    assert received == SAME


def test_the_seeds_headers_stand_in_the_seeds_order() -> None:
    """Whoever reads a recorded answer beside ours finds line by line the same."""
    with seed_door() as door:
        answer = door.call("POST", "/api/v1/imports", headers=[FORM], body=BODY)
    names = [name for name, _ in answer.headers if name != "location"]
    assert names == [
        *("cache-control", "pragma", "expires", "content-type", "x-token", "vary", "p3p", "x-request-id"),
        *("x-runtime", "x-frame-options", "x-content-type-options", "x-xss-protection"),
        *("x-download-options", "x-permitted-cross-domain-policies", "referrer-policy", "content-length"),
    ]


def test_what_was_accepted_is_written_down_and_rung_for() -> None:
    """The answer's id is that of a queued import, due soon, whose bell was rung for the fetch queue."""
    with seed_door() as door:
        answer = door.call("POST", "/api/v1/imports", headers=[FORM], body=BODY)
    import_id = answer.json()["id"]
    kept = door.imports.documents[import_id]
    assert (kept["status"], kept["record_id"]) == ("queued", "00P4I00000zyw3eUAA")
    assert kept["metadatas"] == '{"attachmentId":"00P4I00000zyw3eUAA"}'
    assert kept["due_at"] > kept["created_at"]
    assert door.rung == [("fetch", import_id)]

"""The routes of the door, on stores in memory: what is answered, to whom, and what is not."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from pymongo.errors import DocumentTooLarge, NetworkTimeout, OperationFailure, ServerSelectionTimeoutError

from common import tokens
from ingest.edge import tidied
from tests.doors import FORM, NOW, OPERATOR, ORGANIZATION_ID, OTHER_USER_ID, SECRET, USER_ID, Answer, Door

IMPORTS = "/api/v1/imports"
EVERYWHERE = (
    *("cache-control", "pragma", "expires", "content-type", "vary", "p3p", "x-request-id", "x-runtime"),
    *("x-frame-options", "x-content-type-options", "x-xss-protection", "x-download-options"),
    *("x-permitted-cross-domain-policies", "referrer-policy", "content-length"),
)


def is_problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a whole problem: its status, its code, every header, no token."""
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer["content-type"] == "application/problem+json"
    assert set(EVERYWHERE) <= {name for name, _ in answer.headers}
    assert answer["x-token"] is None
    assert answer.json()["request_id"] == answer["x-request-id"]
    return dict(answer.json())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/imports/", ("/api/v1/imports", None)),
        ("//api//v1///imports", ("/api/v1/imports", None)),
        ("/api/v1/imports.json", ("/api/v1/imports", "json")),
        ("/api/v1/imports.json/", ("/api/v1/imports", "json")),
        ("/openapi.json", ("/openapi.json", None)),
        ("/", ("/", None)),
        ("//", ("/", None)),
    ],
)
def test_paths_that_old_clients_write_reach_their_route(path: str, expected: tuple[str, str | None]) -> None:
    """Slashes are tidied everywhere; the extension names a format below /api/ only."""
    assert tidied(path) == expected


def test_the_json_route_adds_its_format_to_the_echo() -> None:
    """`/api/v1/imports.json` is the same route, and `format` ends the echo, as Rails had it."""
    with Door() as door:
        answer = door.call("POST", "/api//v1/imports.json", headers=[FORM], body=b"album_id=a")
    assert list(answer.json()["params"].items())[-1] == ("format", "json")


def test_an_import_that_can_never_be_fetched_is_recorded_as_failed_without_a_job() -> None:
    """Every parameter is optional, so the answer is 200; the import says why it failed, and nothing is rung."""
    with Door() as door:
        answer = door.call("POST", IMPORTS, headers=[FORM], body=b"attachment_id=http://evil")
        assert answer.status == 200
        shown = door.call("GET", f"{IMPORTS}/{answer.json()['id']}").json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "attachment_id_invalid")
    assert door.rung == []


def test_an_import_shows_the_eight_keys_first_and_then_its_state() -> None:
    """GET begins as POST did, byte for byte, and goes on with state and links."""
    with Door() as door:
        posted = door.call("POST", IMPORTS, headers=[FORM], body=b"attachment_id=00P4I00000zyw3eUAA")
        shown = door.call("GET", f"{IMPORTS}/{posted.json()['id']}")
    assert shown.body.startswith(posted.body[:-1] + b",")
    keys = list(shown.json())
    state = ["status", "error", "attempts", "calls", "waiting_for", "expected_at", "next_attempt_at"]
    assert keys[8:] == [*state, "stages", "links"]
    assert shown.json()["links"] == {"self": f"{IMPORTS}/{posted.json()['id']}", "image": None}


def test_behind_a_closed_gate_an_import_says_for_what_it_waits() -> None:
    """Most of those that wait are never looked at one by one; what the organization waits for they wait for."""
    with Door() as door:
        posted = door.call("POST", IMPORTS, headers=[FORM], body=b"attachment_id=00P4I00000zyw3eUAA").json()
        path = f"{IMPORTS}/{posted['id']}"
        assert door.call("GET", path).json()["waiting_for"] is None
        door.gate = {"waiting_for": "salesforce_quota", "expected_at": NOW}
        shown = door.call("GET", path).json()
        assert (shown["waiting_for"], shown["expected_at"]) == ("salesforce_quota", posted["created_at"])
        door.imports.documents[posted["id"]]["status"] = "fetched"
        assert door.call("GET", path).json()["waiting_for"] is None


def test_not_yours_and_not_there_are_one_answer() -> None:
    """Another organization's import, an unknown id and no id at all differ in nothing but path and request."""
    with Door() as door:
        posted = door.call("POST", IMPORTS, headers=[FORM]).json()
        one = ("X-Request-Id", "same")
        other = door.token(OTHER_USER_ID)
        theirs = door.call("GET", f"{IMPORTS}/{posted['id']}", token=other, headers=[one])
        door.imports.documents.clear()
        nowhere = door.call("GET", f"{IMPORTS}/{posted['id']}", token=other, headers=[one])
    is_problem(theirs, 404, "not_found")
    assert theirs.body == nowhere.body
    assert [name for name, _ in theirs.headers] == [name for name, _ in nowhere.headers]


@pytest.mark.parametrize(
    "path", ["/nowhere", "/", "/api/v1", "/api/v1/imports/not-an-id", "/api/v1/imports.xml"]
)
def test_a_path_that_leads_nowhere_is_a_problem(path: str) -> None:
    """404 with every header, whatever the path."""
    with Door() as door:
        is_problem(door.call("GET", path), 404, "not_found")


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "TRACE", "OPTIONS", "CONNECT", "PROPFIND"])
def test_a_method_that_is_not_served_is_405_with_what_is(method: str) -> None:
    """Allow names the methods; nothing asks for a token first, and no override header changes that."""
    with Door() as door:
        answer = door.call(method, IMPORTS, token=None, headers=[("X-HTTP-Method-Override", "POST")])
        is_problem(answer, 405, "method_not_allowed")
        assert answer["allow"] == "POST"
        assert door.call("POST", f"{IMPORTS}/{USER_ID}")["allow"] == "GET, HEAD"


def test_nobody_without_a_token_makes_us_read_a_body() -> None:
    """401 is answered although the body never arrives; so is 413, by what is announced."""
    with Door() as door:
        announced = [FORM, ("Content-Length", "100")]
        answer = door.call("POST", IMPORTS, headers=announced, body=None, token=None)
        is_problem(answer, 401, "unauthenticated")
        assert (answer["x-message"], answer["www-authenticate"]) == (
            "Access denied",
            'Token realm="Application"',
        )
        huge = door.call("POST", IMPORTS, headers=[FORM, ("Content-Length", str(20 * 2**30))], body=None)
        is_problem(huge, 413, "payload_too_large")


def test_a_body_that_does_not_arrive_in_time_is_408() -> None:
    """The app bounds the time of a body itself, and closes the connection with a whole answer."""
    with Door(body_seconds=0.05) as door:
        answer = door.call("POST", IMPORTS, headers=[FORM, ("Content-Length", "10")], body=None)
    is_problem(answer, 408, "request_timeout")
    assert answer["connection"] == "close"


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ([("Transfer-Encoding", "chunked")], b"", 411, "length_required"),
        ([FORM, ("Content-Encoding", "gzip")], b"x", 415, "content_encoding_unsupported"),
        ([("Content-Type", "text/plain")], b"x", 415, "media_type_unsupported"),
        ([("Content-Type", "application/json")], b"{", 400, "json_malformed"),
        ([FORM], b"a=%zz", 400, "form_malformed"),
        ([FORM, ("Content-Length", "5")], b"abc", 400, "body_incomplete"),
        ([FORM, ("Content-Length", "-5")], b"", 400, "request_malformed"),
        ([FORM], b"a" * 4_097, 413, "payload_too_large"),
    ],
)
def test_a_request_that_cannot_be_read_is_a_problem_of_the_caller(
    headers: list[tuple[str, str]], body: bytes, status: int, code: str
) -> None:
    """Each kind of wrong request has its own code, and nothing is recorded."""
    with Door() as door:
        answer = door.call("POST", IMPORTS, headers=headers, body=body)
    is_problem(answer, status, code)
    assert door.imports.documents == {}


def test_transfer_encoding_closes_the_connection() -> None:
    """Whatever follows on such a connection could be a smuggled request."""
    with Door() as door:
        answer = door.call("GET", "/livez", headers=[("Transfer-Encoding", "gzip, chunked")])
    assert (answer.status, answer["connection"]) == (411, "close")


@pytest.mark.parametrize(
    "error",
    [
        ServerSelectionTimeoutError("no server at mongodb://user:password@host"),
        NetworkTimeout("late"),
        OperationFailure("no space left", 14031),
    ],
)
def test_mongodb_away_is_503_and_says_when_to_come_back(error: Exception) -> None:
    """For the user's look-up as for the import's write; never a 500, and never the driver's words."""
    with Door() as door:
        door.imports.error = error
        late = door.call("POST", IMPORTS, headers=[FORM])
        door.users_error = error
        early = door.call("POST", IMPORTS, headers=[FORM])
    for answer in (late, early):
        is_problem(answer, 503, "unavailable")
        assert answer["retry-after"] == "2"
        assert b"password" not in answer.body


def test_a_store_that_hangs_is_503_within_two_seconds() -> None:
    """One budget covers all that a request asks of stores."""
    with Door() as door:
        door.imports.delay = 60
        begun = time.monotonic()
        answer = door.call("POST", IMPORTS, headers=[FORM])
        assert time.monotonic() - begun < 6, "three times what is promised, on a busy machine"
    is_problem(answer, 503, "unavailable")


def test_a_defect_of_ours_is_500_without_a_word_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer holds no text of the exception; nor does any log line."""
    with Door() as door:
        door.imports.error = KeyError("planted-secret")
        answer = door.call("POST", IMPORTS, headers=[FORM])
    is_problem(answer, 500, "internal_error")
    assert b"planted-secret" not in answer.body
    logged = capsys.readouterr()
    assert "planted-secret" not in logged.out + logged.err
    assert "unexpected error" in logged.out + logged.err


def test_no_log_line_holds_what_the_caller_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a request, with route and status, and without path, query, token or parameter."""
    with Door() as door:
        token = door.token()
        door.call(
            "POST", f"{IMPORTS}?headers[Authorization]=planted", headers=[FORM], body=b"filename=planted"
        )
    logged = "".join(capsys.readouterr())
    assert "planted" not in logged
    assert token not in logged
    assert ORGANIZATION_ID in logged


def test_head_answers_as_get_without_a_body() -> None:
    """Same status and length as GET; no body."""
    with Door() as door:
        for path in ("/livez", "/readyz", "/docs", "/openapi.json", "/dashboard", "/metrics"):
            head = door.call("HEAD", path, token=None, headers=OPERATOR)
            assert (head.status, head.body) == (200, b""), path
            assert int(head["content-length"] or 0) > 0, path


@pytest.mark.parametrize("length", [1, 2_000])
def test_answers_are_compressed_where_the_caller_takes_it(length: int) -> None:
    """gzip on demand, whatever the length, never else; Vary says so each time, and Content-Length is that of what is sent."""
    body = b"filename=" + b"a" * length
    with Door() as door:
        plain = door.call("POST", IMPORTS, headers=[FORM, ("Accept-Encoding", "gzip;q=0, br")], body=body)
        packed = door.call("POST", IMPORTS, headers=[FORM, ("Accept-Encoding", "br, gzip")], body=body)
    assert plain["content-encoding"] is None
    assert packed["content-encoding"] == "gzip"
    assert int(packed["content-length"] or 0) == len(packed.body) < len(plain.body)
    assert gzip.decompress(packed.body) == plain.body
    assert plain["vary"] == packed["vary"] == "Accept-Encoding"


def test_a_token_half_its_life_old_is_renewed_in_the_answer() -> None:
    """The answer's X-token is another one, which opens the door as the first did."""
    with Door() as door:
        old = tokens.mint(USER_ID, secret=SECRET, now=NOW.timestamp() - 600, lifetime=3_600)
        answer = door.call("POST", IMPORTS, headers=[FORM], token=old)
        renewed = answer["x-token"]
        assert renewed not in (None, old)
        assert door.call("POST", IMPORTS, headers=[FORM], token=renewed).status == 200


def test_parameters_are_given_back_with_nothing_lost() -> None:
    """Big integers, `$` and `.` keys, NUL in keys and query-wins order survive store and echo."""
    sent = b'{"n":123456789012345678901234567890,"$set":{"a.b":1},"nul\\u0000":[1],"album_id":"b"}'
    with Door() as door:
        posted = door.call(
            "POST", f"{IMPORTS}?album_id=q", headers=[("Content-Type", "application/json")], body=sent
        )
        shown = door.call("GET", f"{IMPORTS}/{posted.json()['id']}")
    params = {**json.loads(sent), "album_id": "q", "controller": "api/v1/imports", "action": "create"}
    assert posted.json()["params"] == params
    assert shown.json()["params"] == params
    assert posted.json()["album_id"] == "q"


def test_an_import_that_no_document_can_hold_is_a_413() -> None:
    """It is the caller's to send less; the store is not away."""
    with Door() as door:
        door.imports.error = DocumentTooLarge("too large")
        answer = door.call("POST", "/api/v1/imports", headers=[FORM], body=b"a=1")
    assert (answer.status, answer.json()["code"]) == (413, "payload_too_large")

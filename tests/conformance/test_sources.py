"""A source brings whole, verified records and turns whatever goes wrong into one of three classes.

Everything here goes over a real socket to the simulated Salesforce, which spoils answers on demand.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
import traceback
from typing import Any

import pytest

from tests.conformance.organization import PICTURE, SECRET, World, document, in_time, organization_at
from workers.failures import Failure, Interrupted, Permanent, Throttled, Transient

ROW, BODY = "/sobjects/Attachment/[^/]+$", "/Body$"


def told(code: str, message: str = "no") -> list[dict[str, str]]:
    return [{"errorCode": code, "message": message}]


def test_a_record_arrives_whole(world: World) -> None:
    """The row's claims come with the very bytes, their length and digest; two calls and one login."""
    record_id = world.add(PICTURE, "a.png", ContentType="image/png")
    visit = world.source.visit(record_id, deadline=in_time())
    sink = io.BytesIO()
    record = visit.describe()
    received = visit.stream(record, sink, max_bytes=1 << 24)
    assert (record.id, record.name, record.content_type, record.size) == (
        record_id,
        "a.png",
        "image/png",
        len(PICTURE),
    )
    assert sink.getvalue() == PICTURE
    assert (received.bytes, received.sha256) == (len(PICTURE), hashlib.sha256(PICTURE).hexdigest())
    assert (visit.calls, world.logins) == (2, 1)


def test_many_imports_cost_one_login(world: World) -> None:
    """The session is kept for the organization, whoever asks for its source."""
    record_id = world.add()
    for _ in range(5):
        world.source = world.sources.of(document(world.url))
        assert world.fetch(record_id)[1] == PICTURE
    assert world.logins == 1


def test_new_credentials_make_a_new_session(world: World) -> None:
    """A raised credential_version replaces the source at once, without a restart."""
    record_id = world.add()
    wrong = world.sources.of(document(world.url, secret="wrong", version=7))
    with pytest.raises(Throttled) as caught:
        wrong.visit(record_id, deadline=in_time()).describe()
    assert caught.value.waiting_for == "salesforce_credentials"
    right = world.sources.of(document(world.url, version=8))
    assert right.visit(record_id, deadline=in_time()).describe().size == len(PICTURE)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (404, told("NOT_FOUND"), (Permanent, "attachment_not_found")),
        (404, told("ENTITY_IS_DELETED"), (Permanent, "attachment_deleted")),
        (400, told("INVALID_TYPE"), (Permanent, "salesforce_object_hidden")),
        (403, told("INSUFFICIENT_ACCESS_OR_READONLY"), (Permanent, "attachment_refused")),
        (403, told("API_DISABLED_FOR_ORG"), (Permanent, "attachment_refused")),
        (403, "<html>no</html>", (Permanent, "attachment_refused")),
        (400, told("MALFORMED_ID"), (Permanent, "attachment_id_invalid")),
        (410, told("GONE"), (Permanent, "salesforce_api_version")),
        (400, told("UNSUPPORTED_API_VERSION"), (Permanent, "salesforce_api_version")),
        (400, told("INVALID_FIELD"), (Permanent, "salesforce_request_refused")),
        (405, told("METHOD_NOT_ALLOWED"), (Permanent, "salesforce_request_refused")),
        (412, "", (Permanent, "salesforce_request_refused")),
        (414, "<html>too long</html>", (Permanent, "salesforce_request_refused")),
        (415, "", (Permanent, "salesforce_request_refused")),
        (428, "", (Permanent, "salesforce_request_refused")),
        (431, "", (Permanent, "salesforce_request_refused")),
        (404, told("NOT_FOUND", "API version v99.0 is not supported"), (Permanent, "salesforce_api_version")),
        (403, told("SERVER_UNAVAILABLE"), (Transient, "salesforce_unavailable")),
        (400, told("UNABLE_TO_LOCK_ROW"), (Transient, "salesforce_record_busy")),
        (400, told("QUERY_TIMEOUT"), (Transient, "salesforce_record_busy")),
        (204, "", (Transient, "answer_not_a_file")),
        (302, "", (Transient, "salesforce_redirected")),
        (500, told("UNKNOWN_EXCEPTION"), (Transient, "salesforce_unavailable")),
        (502, "<html>bad gateway</html>", (Transient, "salesforce_unavailable")),
        (
            503,
            {"errorCode": "SERVER_UNAVAILABLE", "message": "a bare object"},
            (Transient, "salesforce_unavailable"),
        ),
        (504, "", (Transient, "salesforce_unavailable")),
        (420, "", (Transient, "salesforce_unavailable")),
        (
            403,
            told("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
            (Throttled, "salesforce_quota"),
        ),
        (403, told("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests"), (Throttled, "salesforce_busy")),
        (429, "", (Throttled, "salesforce_busy")),
    ],
)
@pytest.mark.parametrize("path", [ROW, BODY], ids=["row", "body"])
def test_the_table_of_verdicts(
    world: World, path: str, status: int, body: Any, verdict: tuple[type[Failure], str]
) -> None:
    """Each refusal of a row or a body ends in the class and code of the table, and only there."""
    record_id = world.add()
    world.spoil("status", path=path, status=status, body=body, times=None)
    with pytest.raises(Failure) as caught:
        world.fetch(record_id)
    assert (type(caught.value), caught.value.code) == verdict
    world.heal()
    assert world.fetch(record_id)[1] == PICTURE


def test_a_missing_record_may_yet_appear(world: World) -> None:
    """Not found is the one verdict that a very young import has looked at once more."""
    with pytest.raises(Permanent) as caught:
        world.fetch("00P000000000001EAA")
    assert caught.value.may_appear


@pytest.mark.parametrize(
    "record_id", ["../Case/5005800000HEXCtAAP", "https://evil.example/x", "//evil/x", "", "00P"]
)
def test_nothing_but_a_checked_id_reaches_a_url(world: World, record_id: str) -> None:
    """An id that is none is refused before any call, since the client library takes it for a URL."""
    with pytest.raises(Permanent) as caught:
        world.fetch(record_id)
    assert caught.value.code == "attachment_id_invalid"
    assert not world.server.api.calls


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        ({"kind": "truncate"}, Transient, "answer_truncated"),
        ({"kind": "wrong_length"}, Transient, "answer_wrong_length"),
        ({"kind": "html200"}, Transient, "answer_not_a_file"),
        ({"kind": "redirect", "location": "https://evil.example/"}, Transient, "salesforce_redirected"),
        ({"kind": "reset"}, Transient, "salesforce_connection_lost"),
        ({"kind": "reset", "after_bytes": 5000}, Transient, "salesforce_connection_lost"),
        ({"kind": "stall", "seconds": 3}, Transient, "salesforce_too_slow"),
        ({"kind": "stall", "seconds": 3, "after_bytes": 5000}, Transient, "salesforce_too_slow"),
        ({"kind": "drip", "bytes_per_second": 4000}, Transient, "salesforce_too_slow"),
        ({"kind": "drip_headers"}, Transient, "salesforce_too_slow"),
        ({"kind": "padded"}, Transient, "answer_wrong_length"),
        ({"kind": "endless"}, Transient, "answer_wrong_length"),
        ({"kind": "gzip"}, Transient, "answer_not_a_file"),
    ],
)
def test_a_spoilt_body_counts_one_attempt(
    world: World, fault: dict[str, Any], expected: type[Failure], code: str
) -> None:
    """Each thing that can befall a body, while the organization's rows are answered, is about this answer."""
    record_id = world.add()
    world.spoil(**fault, path=BODY, times=None)
    with pytest.raises(Failure) as caught:
        world.fetch(record_id, seconds=1.5)
    assert (type(caught.value), caught.value.code) == (expected, code)
    world.heal()
    assert world.fetch(record_id)[1] == PICTURE


def test_a_body_in_chunks_is_a_body(world: World) -> None:
    """How a body is framed is the server's affair: without a length it is counted like any other."""
    record_id = world.add()
    world.spoil("chunked", path=BODY)
    assert world.fetch(record_id)[1] == PICTURE


def test_flipped_bytes_are_noticed_where_a_checksum_is_known(world: World) -> None:
    """A right length with wrong bytes fails the attempt if the source keeps an MD5 of the file."""
    record_id = world.add()
    world.spoil("garble", path=BODY)
    visit = world.source.visit(record_id, deadline=in_time())
    row = visit.describe()
    known = type(row)(id=row.id, size=row.size, md5=hashlib.md5(PICTURE).hexdigest().upper())  # noqa: S324
    with pytest.raises(Transient) as caught:
        visit.stream(known, io.BytesIO(), max_bytes=1 << 24)
    assert caught.value.code == "answer_wrong_digest"
    assert visit.stream(known, io.BytesIO(), max_bytes=1 << 24).bytes == len(PICTURE)


@pytest.mark.parametrize(
    ("content", "limit", "code"),
    [
        (b"", 100, "attachment_empty"),
        (PICTURE, 100, "attachment_too_large"),
        (b" <!DOCTYPE html><p>a real page</p>", 100, "not_an_image"),
    ],
)
def test_what_the_record_itself_is_fails_at_once(world: World, content: bytes, limit: int, code: str) -> None:
    """An empty, an oversized and a text attachment are about the record; the first two cost no download."""
    record_id = world.add(content)
    with pytest.raises(Permanent) as caught:
        world.fetch(record_id, max_bytes=limit)
    assert caught.value.code == code
    assert world.server.api.calls["blob"] == (1 if code == "not_an_image" else 0)


def test_a_row_of_html_counts_an_attempt(world: World) -> None:
    """A login page in the place of a row is about this answer."""
    record_id = world.add()
    world.spoil("html200", path=ROW)
    with pytest.raises(Transient) as caught:
        world.fetch(record_id)
    assert caught.value.code == "answer_unreadable"


def test_an_outage_counts_nothing(world: World) -> None:
    """Where every path answers 503, its wait is honoured and the import only waits."""
    record_id = world.add()
    world.fetch(record_id)
    for other in range(3):
        world.source.standing.others_succeed(str(other), answers=lambda: True)  # type: ignore[attr-defined]
    world.spoil("status", status=503, headers={"Retry-After": "17"}, times=None)
    with pytest.raises(Throttled) as caught:
        world.fetch(record_id)
    assert (caught.value.waiting_for, caught.value.probe_after, caught.value.probe_cap) == (
        "salesforce",
        17,
        17,
    )


def test_an_outage_from_the_beginning_counts_nothing(world: World) -> None:
    """With no success to compare with, the list of API versions tells: it does not answer either."""
    record_id = world.add()
    world.source.sessions.current(in_time())  # type: ignore[attr-defined]
    for kind in ("reset", "status"):
        world.heal()
        world.spoil(kind, path="/services/data", times=None)
        with pytest.raises(Throttled) as caught:
            world.fetch(record_id)
        assert (caught.value.waiting_for, caught.value.probe_after) == ("salesforce", 5)


def test_many_records_in_trouble_are_an_outage(world: World) -> None:
    """The third different record that fails with no success between closes the organization's gate."""
    ids = [world.add(name=f"{number}.png") for number in range(3)]
    world.spoil("status", path=ROW, times=None)
    for record_id, expected in (
        (ids[0], Transient),
        (ids[0], Transient),
        (ids[1], Transient),
        (ids[2], Throttled),
    ):
        with pytest.raises(expected):
            world.fetch(record_id)
    world.heal()
    assert world.fetch(ids[2])[1] == PICTURE
    world.spoil("status", path=ROW)
    with pytest.raises(Transient):
        world.fetch(ids[0])


def test_nobody_at_home_counts_nothing(world: World) -> None:
    """A refused connection and a name that is unknown are about the organization at once."""
    world.server.socket.close()
    for url in (world.url, "https://no-such-host.invalid"):
        source = organization_at(url)
        with pytest.raises(Throttled) as caught:
            source.visit("00P4I00000zyw3eUAA", deadline=in_time()).describe()
        assert (caught.value.code, caught.value.waiting_for) == ("salesforce_unavailable", "salesforce")
        source.close()


def test_the_days_limit_is_probed_ever_more_rarely(world: World) -> None:
    """The total is asked for again after a minute, then up to a quarter of an hour apart."""
    record_id = world.add()
    world.spoil("limit_exceeded")
    with pytest.raises(Throttled) as caught:
        world.fetch(record_id)
    assert caught.value.waiting_for == "salesforce_quota"
    assert (caught.value.probe_after, caught.value.probe_cap) == (60, 900)


@pytest.mark.parametrize(("headers", "low", "high"), [({}, 5, 10), ({"Retry-After": "7"}, 7, 7)])
def test_a_busy_organization_waits_as_told(
    world: World, headers: dict[str, str], low: float, high: float
) -> None:
    """Too many calls at once: the wait that is named, else some seconds, and never half a minute."""
    record_id = world.add()
    world.spoil("limit_exceeded", concurrent=True, headers=headers)
    with pytest.raises(Throttled) as caught:
        world.fetch(record_id)
    assert caught.value.waiting_for == "salesforce_busy"
    assert low <= caught.value.probe_after <= high
    assert caught.value.probe_cap == (high if headers else 15)


def test_stopping_ends_a_download_at_once(world: World) -> None:
    """A worker that must stop does not wait for a body that drips, and counts nothing."""
    record_id = world.add()
    world.spoil("drip", path=BODY, bytes_per_second=2000)
    stopping = threading.Event()
    visit = world.source.visit(record_id, deadline=in_time(60, stopping))
    record = visit.describe()
    timer = threading.Timer(0.3, stopping.set)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        visit.stream(record, io.BytesIO(), max_bytes=1 << 24)
    assert time.monotonic() - begun < 10  # the drip would take 51 s, and the deadline a minute
    timer.join()


def test_no_failure_tells_a_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """No text, repr or traceback of a failure, and no log line, holds secret, token or what was answered."""
    caplog.set_level("DEBUG")
    record_id = world.add()
    world.fetch(record_id)
    tokens = list(world.server.api.sessions._open)
    texts = []
    for kind in ("status", "html200", "truncate", "reset", "redirect", "limit_exceeded", "wrong_length"):
        for path in (ROW, BODY, "/oauth2/token"):
            world.heal()
            extra: dict[str, Any] = {"body": told("X", "planted-answer")} if kind == "status" else {}
            if path == "/oauth2/token":
                world.control("DELETE", "sessions")
            world.spoil(kind, path=path, times=None, **extra)
            source = organization_at(world.url) if path == "/oauth2/token" else world.source
            try:
                visit = source.visit(record_id, deadline=in_time())
                visit.stream(visit.describe(), io.BytesIO(), max_bytes=1 << 24)
            except Failure as failure:
                texts += [str(failure), repr(failure), "".join(traceback.format_exception(failure))]
            if source is not world.source:
                texts.append(repr(vars(source)))
                source.close()
    assert len(texts) > 40
    told_all = "\n".join([*texts, caplog.text])
    for secret in (SECRET, "planted-answer", *tokens):
        assert secret not in told_all

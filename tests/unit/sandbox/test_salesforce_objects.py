"""The simulated org keeps the objects of a Case, counts calls, ends sessions, and shows all of it on a page."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.salesforce import errors
from sandbox.salesforce.allowance import Allowance
from sandbox.salesforce.records import Records
from tests.unit.sandbox.test_salesforce import SECRET, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "pictures").mkdir()
    world = World(tmp_path)
    yield world
    world.close()


def added(world: World, kind: str, content: bytes | None = None, **fields: Any) -> str:
    order: dict[str, Any] = {"type": kind, "fields": fields}
    if content is not None:
        order["content_base64"] = base64.b64encode(content).decode()
    return str(world.control("POST", "records", order)["id"])


def selected(world: World, query: str) -> list[dict[str, Any]]:
    answer = world.get("query", q=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["records"])


def test_a_version_makes_its_document_and_its_link(world: World) -> None:
    """What the service derives is derived: the file, its latest version, and what it hangs on."""
    case = added(world, "Case")
    first = added(world, "ContentVersion", b"one", PathOnClient="a.jpg", FirstPublishLocationId=case)
    row = world.get(f"sobjects/ContentVersion/{first}").json()
    assert (row["Title"], row["FileType"], row["FileExtension"], row["ContentSize"]) == ("a", "JPG", "jpg", 3)
    assert row["Checksum"] == "f97c5d29941bfb1b2fdab0874906ab82"
    document = row["ContentDocumentId"]
    newer = added(world, "ContentVersion", b"newer", PathOnClient="a.jpg", ContentDocumentId=document)
    assert world.get(f"sobjects/ContentDocument/{document}").json()["LatestPublishedVersionId"] == newer
    latest = f"SELECT Id FROM ContentVersion WHERE ContentDocumentId = '{document}' AND IsLatest = true"  # noqa: S608
    assert [one["Id"] for one in selected(world, latest)] == [newer]
    links = f"SELECT ContentDocumentId FROM ContentDocumentLink WHERE LinkedEntityId = '{case}'"  # noqa: S608
    assert [one["ContentDocumentId"] for one in selected(world, links)] == [document]
    assert world.get(f"sobjects/ContentVersion/{newer}/VersionData").content == b"newer"


def test_added_records_outlive_a_restart(tmp_path: Path) -> None:
    """Rows, blobs and which version is the latest are there again."""
    records = Records(tmp_path)
    first = records.add("ContentVersion", {"PathOnClient": "a.jpg"}, blob=b"one")
    document = first.values["ContentDocumentId"]
    time.sleep(0.01)
    second = records.add("ContentVersion", {"ContentDocumentId": document}, blob=b"two")
    again = Records(tmp_path)
    assert again.documents()[document].values["LatestPublishedVersionId"] == second.id
    assert {one.id for one in again.rows("ContentVersion").values()} == {first.id, second.id}
    assert again.remove(first.id)
    assert not again.remove(first.id)
    assert list(Records(tmp_path).rows("ContentVersion")) == [second.id]


def test_links_must_be_filtered_as_the_vendor_demands(world: World) -> None:
    """A query on links without an id is refused in the vendor's words, as clients will meet it in life."""
    for query in (
        "SELECT Id FROM ContentDocumentLink",
        "SELECT Id FROM ContentDocumentLink WHERE ShareType = 'V'",
        "SELECT Id FROM ContentDocumentLink WHERE LinkedEntityId != '500000000000000AAA'",
    ):
        answer = world.get("query", q=query)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "MALFORMED_QUERY")
        assert "Implementation restriction" in answer.json()[0]["message"]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("CreatedDate >= 2026-01-01T00:00:00Z", ["new.png"]),
        ("CreatedDate < 2026-01-01T00:00:00+00:00 AND Name IN ('old.png','new.png')", ["old.png"]),
        ("CreatedDate > 2026-02-01T11:00:00Z AND CreatedDate <= 2026-02-01T12:00:00Z", ["new.png"]),
        ("Name NOT IN ('new.png') AND Name = 'OLD.png'", ["old.png"]),
        ("BodyLength >= 3 AND BodyLength < 4", ["new.png", "old.png"]),
    ],
)
def test_queries_compare_times_and_numbers(world: World, condition: str, names: list[str]) -> None:
    """Order and zone of times are understood; texts compare without letter case, ids with it."""
    for name, at in (
        ("old.png", "2024-01-01T00:00:00.000+0000"),
        ("new.png", "2026-02-01T12:00:00.000+0000"),
    ):
        order = {"name": name, "content_base64": "b25l", "fields": {"CreatedDate": at}}
        world.control("POST", "attachments", order)
    found = selected(world, f"SELECT Name FROM Attachment WHERE {condition} ORDER BY Name")  # noqa: S608
    assert [one["Name"] for one in found] == names
    counted = world.get("query", q=f"SELECT COUNT() FROM Attachment WHERE {condition}").json()  # noqa: S608
    assert (counted["totalSize"], counted["records"]) == (len(names), [])


def test_a_days_calls_run_out_and_come_free(world: World) -> None:
    """Each call counts, the last one but none beyond it is served, and the header tells so throughout."""
    world.control("PUT", "limits", {"daily": 10, "used": 8, "window_seconds": 0.5})
    statuses = [world.get("limits").status_code for _ in range(4)]
    assert statuses == [200, 200, 403, 403]
    over = world.get("limits")
    assert over.json() == [
        {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
    ]
    assert over.headers["Sforce-Limit-Info"] == "api-usage=10/10"
    time.sleep(0.6)
    assert world.get("limits").json() == {"DailyApiRequests": {"Max": 10, "Remaining": 9}}


def test_the_window_rolls() -> None:
    """Calls come free one by one, each a window after it was made."""
    now = [0.0]
    allowance = Allowance(daily=2, window=10, monotonic=lambda: now[0])
    assert allowance.spend()
    now[0] = 6
    assert allowance.spend()
    assert not allowance.spend()
    now[0] = 11
    assert (allowance.used(), allowance.spend(), allowance.spend()) == (1, True, False)


def test_too_many_calls_at_once_are_refused(world: World) -> None:
    """Beyond the places for calls at once a call is refused in the vendor's words."""
    world.control("PUT", "limits", {"concurrent": 0})
    answer = world.get("limits")
    assert answer.status_code == 403
    assert "ConcurrentRequests" in answer.json()[0]["message"]


def test_a_session_ends_when_it_is_not_used(world: World) -> None:
    """Use prolongs a session; left alone for as long as it lives, it is gone."""
    world.control("PUT", "sessions", {"seconds": 0.5})
    for _ in range(4):
        time.sleep(0.2)
        assert world.get("limits").status_code == 200
    time.sleep(0.7)
    assert world.get("limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"


def test_a_call_is_recorded_before_its_answer_is_out(world: World) -> None:
    """Whoever has an answer finds the call: reading them back right after it is no race."""
    world.control("POST", "faults", {"kind": "stall", "after_bytes": 1, "seconds": 1})
    with world.http.get(f"{world.url}/services/data/v65.0/limits", timeout=5, stream=True) as answer:
        assert answer.raw.read(1)
        login, limits = world.control("GET", "calls")
        assert (login["fault"], limits["fault"]) == (None, "stall")


def test_calls_are_recorded_without_a_secret(world: World) -> None:
    """What was asked, by whom and what came of it can be read back; no token and no secret can."""
    world.get("query", q="SELECT Id FROM Case")
    world.control("POST", "faults", {"kind": "html200"})
    world.get("limits")
    calls = world.control("GET", "calls")
    assert [(one["method"], one["status"], one["fault"]) for one in calls] == [
        ("POST", 200, None),
        ("GET", 200, None),
        ("GET", 200, "html200"),
    ]
    assert (calls[1]["query"], calls[1]["client_id"]) == ("SELECT Id FROM Case", "sandbox")
    token = str(world.http.headers["Authorization"]).split()[1]
    for secret in (SECRET, token):
        assert secret not in str(calls)
    assert world.control("DELETE", "calls") == []
    assert world.control("GET", "calls") == []


def test_the_page_shows_and_steers(world: World) -> None:
    """Records, limits, calls and faults stand on one page, and its forms put faults in force and lift them."""
    world.control("POST", "attachments", {"name": "<b>&.png", "content_base64": "b25l"})
    world.get("limits")
    page = requests.get(f"{world.url}/", timeout=5)
    assert page.headers["Content-Type"].startswith("text/html")
    for told in ("Simulated Salesforce", "ContentDocumentLink", "&lt;b&gt;&amp;.png", "limits"):
        assert told in page.text
    assert "<b>&.png" not in page.text
    assert SECRET not in page.text
    form = {"_noun": "faults", "kind": "status", "status": "503", "times": "null", "path": ""}
    answer = requests.post(f"{world.url}/", data=form, timeout=5, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert world.get("limits").status_code == 503
    assert "for ever" in requests.get(f"{world.url}/", timeout=5).text
    requests.post(f"{world.url}/", data={"_noun": "faults", "_method": "DELETE"}, timeout=5)
    assert world.get("limits").status_code == 200


def test_no_other_site_steers_the_page(world: World) -> None:
    """A form that another page sends through somebody's browser is refused."""
    form = {"_noun": "faults", "kind": "reset"}
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert requests.post(f"{world.url}/", data=form, headers=headers, timeout=5).status_code == 403
    assert world.control("GET", "faults") == []


@pytest.mark.parametrize(
    ("method", "noun", "order"),
    [
        ("POST", "records", {"type": "Nothing"}),
        ("POST", "records", {"type": "ContentVersion"}),
        ("PUT", "limits", {"dayly": 5}),
        ("PUT", "sessions", {"life": 5}),
        ("PUT", "permissions", {}),
        ("DELETE", "records/00P4I00000zyw3eUAA", None),
    ],
)
def test_a_mistaken_order_changes_nothing(world: World, method: str, noun: str, order: Any) -> None:
    """An order that makes no sense is refused with a sentence."""
    answer = requests.request(method, f"{world.url}/_control/{noun}", json=order, timeout=5)
    assert answer.status_code in (400, 404)
    assert answer.json()[0]["message"]


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("chunked", lambda answer, whole: answer.content == whole and "Content-Length" not in answer.headers),
        (
            "gzip",
            lambda answer, whole: answer.headers["Content-Encoding"] == "gzip" and answer.content == whole,
        ),
        ("padded", lambda answer, whole: answer.content == whole + b"\0"),
    ],
)
def test_bodies_in_other_framings(world: World, kind: str, check: Any) -> None:
    """What is sent in chunks, compressed or padded is what it says it is."""
    document = added(world, "Document", b"x" * 5000, Name="a.png")
    world.control("POST", "faults", {"kind": kind, "path": "/Body$"})
    assert check(world.get(f"sobjects/Document/{document}/Body"), b"x" * 5000)


def test_every_error_of_the_vendor_is_to_be_had(world: World) -> None:
    """A fault names a code; status, words and shape are the vendor's: a list, an OAuth object, a SOAP fault."""
    for code in errors.CODES:
        world.control("POST", "faults", {"kind": "error", "code": code, "path": "/limits$"})
        answer = world.get("limits")
        if code in errors.SOAP:
            assert answer.status_code == 500
            assert f"<sf:exceptionCode>{code}</sf:exceptionCode>" in answer.text
        elif code in errors.OAUTH:
            assert (answer.status_code, answer.json()["error"]) == (errors.OAUTH[code][0], code)
        else:
            assert (answer.status_code, answer.json()[0]["errorCode"]) == (errors.REST[code][0], code)
    answer = requests.post(f"{world.url}/_control/faults", json={"kind": "error", "code": "NOPE"}, timeout=5)
    assert answer.status_code == 400


def test_an_endless_body_goes_on(world: World) -> None:
    """More comes than the record has, for as long as the client reads."""
    document, read = added(world, "Document", b"x" * 5000, Name="a.png"), 0
    world.control("POST", "faults", {"kind": "endless", "path": "/Body$"})
    url = f"{world.url}/services/data/v65.0/sobjects/Document/{document}/Body"
    with world.http.get(url, stream=True, timeout=5) as answer:
        for piece in answer.iter_content(5000):
            read += len(piece)
            if read > 1_000_000:
                break
    assert read > 1_000_000


def test_headers_drip_without_end(world: World) -> None:
    """Letters come so often that no read times out, and never an end of the header."""
    world.control("POST", "faults", {"kind": "drip_headers"})
    request = b"GET /services/data/v65.0/limits HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", world.server.server_address[1]), timeout=1) as client:
        client.sendall(request)
        pieces = [client.recv(100) for _ in range(8)]
    assert all(pieces)
    assert b"\r\n\r\n" not in b"".join(pieces)

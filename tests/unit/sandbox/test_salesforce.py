"""The simulated Salesforce answers in the real one's shapes and goes wrong exactly as it is told."""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.salesforce.api import Api
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.ids import canonical, checked, made_id
from sandbox.salesforce.server import Server
from sandbox.salesforce.sessions import Sessions
from sandbox.salesforce.tables import PICTURES_CASE_ID, SAMPLE_CASE_ID, Attachments

SECRET = "a secret of thirty-two characters"


class World:
    """One running simulation, and a client of it that is logged in."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        attachments = Attachments(folder / "data", folder / "pictures")
        attachments.load()
        sessions = Sessions({"sandbox": SECRET}, folder / "data" / "clients.json")
        self.server = Server(port, Api(sessions, attachments), Faults())
        self.url = self.server.url
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.http = requests.Session()
        self.log_in()

    def log_in(self) -> None:
        answer = requests.post(
            f"{self.url}/services/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=("sandbox", SECRET),
            timeout=5,
        )
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str, **query: str) -> requests.Response:
        url = f"{self.url}/services/data/v65.0/{path}"
        return self.http.get(url, params=query, timeout=5, allow_redirects=False)

    def control(self, method: str, noun: str, order: Any = None) -> Any:
        return requests.request(method, f"{self.url}/_control/{noun}", json=order, timeout=5).json()

    def close(self) -> None:
        self.http.close()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("salesforce")
    (folder / "pictures" / "deep").mkdir(parents=True)
    (folder / "pictures" / "deep" / "own.jpg").write_bytes(b"not really a picture")
    return folder


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    world = World(folder)
    yield world
    world.close()


def attachment(world: World, name: str = "boat.webp") -> dict[str, Any]:
    return next(one for one in world.control("GET", "attachments") if one["name"] == name)


def test_ids_carry_the_right_check_letters() -> None:
    """An id made here passes the check that the product makes of every id."""
    assert checked("00P4I00000zyw3e") == "00P4I00000zyw3eUAA"
    assert checked("5005800000HEXCt") == "5005800000HEXCtAAP"
    assert canonical("00p4i00000zyw3euaa") == canonical("00P4I00000zyw3e") == "00P4I00000zyw3eUAA"
    assert canonical("00P4I00000zyw3e2AA") is None
    assert made_id("00P", "x") == made_id("00P", "x") == canonical(made_id("00P", "x")[:15])


def test_there_are_a_dozen_samples_and_the_pictures_of_a_folder(world: World) -> None:
    """A Case holds twelve drawn pictures; every file below --pictures is an attachment named by its path."""
    rows = world.control("GET", "attachments")
    assert len([row for row in rows if row["parent_id"] == SAMPLE_CASE_ID]) == 12
    assert [row["name"] for row in rows if row["parent_id"] == PICTURES_CASE_ID] == ["deep/own.jpg"]


def test_a_new_picture_needs_no_restart(world: World, folder: Path) -> None:
    """A file that comes into the folder later is served at once, under the id its name gives."""
    (folder / "pictures" / "later.png").write_bytes(b"later")
    record = made_id("00P", "pictures/later.png")
    assert world.get(f"sobjects/Attachment/{record}/Body").content == b"later"
    (folder / "pictures" / "later.png").unlink()
    assert world.get(f"sobjects/Attachment/{record}").status_code == 404


def test_a_row_and_its_blob_agree(world: World) -> None:
    """BodyLength is the length of the body, in either form of the id, and the limit header is told."""
    wanted = attachment(world)
    row = world.get(f"sobjects/attachment/{wanted['id'][:15]}", fields="Name,bodylength,ParentId,ContentType")
    body = world.get(f"sobjects/Attachment/{wanted['id']}/Body")
    assert row.json()["Id"] == wanted["id"]
    assert row.json()["BodyLength"] == len(body.content) == int(body.headers["Content-Length"])
    assert body.content == Path(wanted["file"]).read_bytes()
    assert row.headers["Sforce-Limit-Info"].startswith("api-usage=")
    assert world.get(f"sobjects/Attachment/{wanted['id']}").json()["Body"].endswith(f"/{wanted['id']}/Body")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("sobjects/Attachment/00P000000000001EAA", 404, "NOT_FOUND"),
        ("sobjects/Attachment/nonsense", 400, "MALFORMED_ID"),
        ("sobjects/Nothing/00P4I00000zyw3eUAA", 404, "NOT_FOUND"),
        ("query?q=SELECT+Nope+FROM+Attachment", 400, "INVALID_FIELD"),
        ("query?q=SELECT+Id+FROM+Nope", 400, "INVALID_TYPE"),
        ("query?q=DELETE+everything", 400, "MALFORMED_QUERY"),
    ],
)
def test_errors_have_the_services_shape(world: World, path: str, status: int, code: str) -> None:
    """An error is a list of one object with message and errorCode."""
    answer = world.get(path)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (status, code)
    assert answer.json()[0]["message"]


def test_a_query_finds_the_attachments_of_a_case(world: World) -> None:
    """The simple subset of SOQL answers by condition, order and limit, and pages past 2,000."""
    text = f"SELECT Id, Name, BodyLength FROM Attachment WHERE ParentId = '{SAMPLE_CASE_ID}' ORDER BY Name LIMIT 3"  # noqa: S608 - no database reads it
    found = world.get("query", q=text).json()
    assert [row["Name"] for row in found["records"]] == ["badge.png", "boat-scan.tif", "boat.webp"]
    assert (found["totalSize"], found["done"]) == (3, True)
    both = world.get(
        "query", q="SELECT Id FROM Attachment WHERE Name IN ('boat.webp', 'badge.png') AND IsDeleted = false"
    )
    assert both.json()["totalSize"] == 2
    others = f"SELECT CaseNumber FROM Case WHERE Id != '{SAMPLE_CASE_ID}'"  # noqa: S608 - as above
    cases = world.get("query", q=others).json()
    assert [row["CaseNumber"] for row in cases["records"]] == ["00001027"]


@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        (
            {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": SECRET},
            None,
            200,
            None,
        ),
        ({"grant_type": "client_credentials"}, ("sandbox", "wrong"), 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "sandbox"}, None, 400, "invalid_client"),
        ({"grant_type": "client_credentials"}, ("nobody", SECRET), 400, "invalid_client_id"),
        ({"grant_type": "authorization_code"}, ("sandbox", SECRET), 400, "unsupported_grant_type"),
    ],
)
def test_logging_in(world: World, form: dict[str, str], auth: Any, status: int, error: str | None) -> None:
    """Client credentials log in by header or form; anything else is refused in the OAuth shape."""
    answer = requests.post(f"{world.url}/services/oauth2/token", data=form, auth=auth, timeout=5)
    assert (answer.status_code, answer.json().get("error")) == (status, error)
    if status == 200:
        assert answer.json()["instance_url"] == world.url


def test_a_restart_forgets_sessions_and_nothing_else(folder: Path) -> None:
    """After a restart on the same port a session is unknown; added attachments and clients are still there."""
    world = World(folder)
    added = world.control(
        "POST", "attachments", {"name": "a.bin", "content_base64": base64.b64encode(b"abc").decode()}
    )
    world.control("POST", "clients", {"client_id": "second", "client_secret": SECRET})
    session, port = world.http.headers["Authorization"], world.server.server_address[1]
    world.close()
    world = World(folder, port)
    try:
        url = f"{world.url}/services/data/v65.0/sobjects/Attachment/{added['id']}/Body"
        answer = requests.get(url, headers={"Authorization": session}, timeout=5)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")
        assert world.get(f"sobjects/Attachment/{added['id']}/Body").content == b"abc"
        form = {"grant_type": "client_credentials"}
        again = requests.post(
            f"{world.url}/services/oauth2/token", data=form, auth=("second", SECRET), timeout=5
        )
        assert again.status_code == 200
    finally:
        world.close()


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "status", "headers": {"Retry-After": "7"}}, 503, "SERVER_UNAVAILABLE"),
        ({"kind": "status", "status": 500, "body": [{"errorCode": "OTHER"}]}, 500, "OTHER"),
        ({"kind": "limit_exceeded"}, 403, "REQUEST_LIMIT_EXCEEDED"),
        ({"kind": "expire_sessions"}, 401, "INVALID_SESSION_ID"),
    ],
)
def test_a_fault_takes_the_answers_place_once(world: World, fault: Any, status: int, code: str) -> None:
    """A fault meets the calls it matches as often as it says, then the service is well again."""
    wanted = attachment(world)
    world.control("POST", "faults", {"id": wanted["id"], **fault})
    spoilt = world.get(f"sobjects/Attachment/{wanted['id']}/Body")
    assert (spoilt.status_code, spoilt.json()[0]["errorCode"]) == (status, code)
    assert spoilt.headers.get("Retry-After") == fault.get("headers", {}).get("Retry-After")
    world.log_in()
    assert world.get(f"sobjects/Attachment/{wanted['id']}/Body").status_code == 200
    assert world.control("GET", "faults")[0]["met"] == 1


def test_faults_that_lie_about_the_body(world: World) -> None:
    """HTML with 200, a redirect, a shorter body and a flipped byte arrive as well-formed answers."""
    wanted = attachment(world)
    whole, url = Path(wanted["file"]).read_bytes(), f"sobjects/Attachment/{wanted['id']}/Body"
    kinds = [
        {"kind": "html200"},
        {"kind": "redirect", "location": "/elsewhere"},
        {"kind": "wrong_length"},
        {"kind": "garble"},
    ]
    world.control("POST", "faults", kinds)
    assert world.get(url).content.startswith(b"<!DOCTYPE html>")
    assert world.get(url).headers["Location"] == "/elsewhere"
    assert world.get(url).content == whole[:-1]
    garbled = world.get(url).content
    assert len(garbled) == len(whole)
    assert sum(a != b for a, b in zip(garbled, whole, strict=True)) == 1


def read_slowly(world: World, path: str) -> None:
    """Read as a client does that has a deadline: the socket's own timeout restarts with every byte."""
    connection = http.client.HTTPConnection("127.0.0.1", world.server.server_address[1], timeout=0.4)
    deadline = time.monotonic() + 1
    try:
        connection.request("GET", path, headers={"Authorization": str(world.http.headers["Authorization"])})
        answer = connection.getresponse()
        while time.monotonic() < deadline:
            if not answer.read1(1000):
                if answer.length:  # read1 itself is content with a short body
                    raise http.client.IncompleteRead(b"", answer.length)
                return
        raise TimeoutError
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "truncate"}, http.client.IncompleteRead),
        ({"kind": "reset"}, ConnectionResetError),
        ({"kind": "reset", "after_bytes": 100}, ConnectionResetError),
        ({"kind": "stall"}, TimeoutError),
        ({"kind": "stall", "after_bytes": 100}, TimeoutError),
        ({"kind": "drip", "bytes_per_second": 10}, TimeoutError),
    ],
)
def test_faults_of_the_wire(world: World, fault: Any, error: type[Exception]) -> None:
    """Truncation, resets, silence and dripping are seen by a client as what they are."""
    wanted = attachment(world)
    world.control("POST", "faults", {**fault, "path": "/Body$"})
    with pytest.raises(error):
        read_slowly(world, f"/services/data/v65.0/sobjects/Attachment/{wanted['id']}/Body")
    world.control("DELETE", "faults")
    body = world.get(f"sobjects/Attachment/{wanted['id']}/Body").content
    assert hashlib.sha256(body).digest() == hashlib.sha256(Path(wanted["file"]).read_bytes()).digest()


def test_counters_tell_what_was_asked(world: World) -> None:
    """Tests can tell how many logins and blob reads a behaviour has cost."""
    wanted = attachment(world)
    world.control("DELETE", "stats")
    world.get(f"sobjects/Attachment/{wanted['id']}/Body")
    world.get(f"sobjects/Attachment/{wanted['id']}")
    stats = world.control("GET", "stats")
    assert stats["blobs"] == {wanted["id"]: 1}
    assert (stats["calls"]["row"], stats["calls"]["blob"], stats["logins"]) == (1, 1, 0)


@pytest.mark.parametrize(
    "order", [{"kind": "explode"}, {"kind": "status", "colour": "red"}, {"kind": "reset", "id": "x"}, []]
)
def test_a_mistaken_order_is_told(world: World, order: Any) -> None:
    """An order that makes no sense is refused with a sentence and leaves no fault behind."""
    answer = requests.post(f"{world.url}/_control/faults", json=order, timeout=5)
    assert answer.status_code == (400 if order else 200)
    assert world.control("GET", "faults") == []


def test_only_loopback_is_listened_on(world: World) -> None:
    """The simulation, with its control endpoint, is reachable from this machine only."""
    assert world.server.server_address[0] == "127.0.0.1"
    assert world.server.socket.family == socket.AF_INET

"""What operators and their machines see: health, metrics, dashboard, documentation; and who may."""

from __future__ import annotations

import base64
import sys
import time
import unicodedata
import uuid
from datetime import timedelta
from urllib.parse import quote_plus

import fakeredis
import pytest
from falcon.inspect import inspect_routes
from prometheus_client.parser import text_string_to_metric_families
from pymongo.errors import ServerSelectionTimeoutError

from common.documents.new_imports import accepted, refused
from common.queue import presence, tallies
from ingest import openapi
from ingest.operator_sessions import SESSION_SECONDS, OperatorSessions
from ingest.resources import dashboard
from tests.doors import NOW, OPERATOR, OPERATOR_PASSWORD, ORGANIZATION_ID, USER_ID, Answer, Door, Kept

IMPORT_ID = "ab445ced-80a2-4659-beaa-e1e9b28edee5"


def failed_import(**changes: object) -> dict[str, object]:
    """Return an import as the door records one that can never be fetched."""
    document = accepted(
        IMPORT_ID,
        organization_id=ORGANIZATION_ID,
        user_id=USER_ID,
        params="{}",
        import_type=None,
        album_id=None,
        filename="<script>alert(1)</script>.jpg",
        metadatas=None,
        source_type="salesforce",
        record_id=None,
        request_id="r",
        now=NOW,
        due_in=5,
    )
    ended = refused(document, code="attachment_missing", detail="Send attachment_id & more.")
    return {**ended, **changes}


def away() -> fakeredis.FakeRedis:
    """Return a client of a Redis that cannot be reached."""
    server = fakeredis.FakeServer()
    server.connected = False
    return fakeredis.FakeRedis(server=server)


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Read metrics as Prometheus does."""
    families = text_string_to_metric_families(text.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_life_asks_nobody() -> None:
    """A process lives while both stores are away."""
    with Door(redis=away(), mongodb_error=ServerSelectionTimeoutError("away")) as door:
        assert door.call("GET", "/livez", token=None).status == 200


def test_readiness_is_about_mongodb_alone() -> None:
    """Redis away is told in a 200; MongoDB away, or a stop that has begun, is 503."""
    with Door() as door:
        assert door.call("GET", "/readyz", token=None).json() == {
            "status": "ok",
            "mongodb": "up",
            "redis": "up",
        }
    with Door(redis=away()) as door:
        answer = door.call("GET", "/readyz", token=None)
        assert (answer.status, answer.json()["redis"]) == (200, "down")
    with Door(mongodb_error=ServerSelectionTimeoutError("away")) as door:
        answer = door.call("GET", "/readyz", token=None)
        assert (answer.status, answer.json()["mongodb"]) == (503, "down")
    with Door(is_stopping=True) as door:
        answer = door.call("GET", "/readyz", token=None)
        assert (answer.status, answer.json()["status"]) == (503, "stopping")


def test_metrics_tell_depth_age_states_workers_and_stages() -> None:
    """Each promised number stands there, in a text that Prometheus' own parser reads."""
    with Door(imports=Kept(failed_import())) as door:
        door.redis.rpush("dramatiq:fetch", "m")
        door.redis.hset("dramatiq:fetch.msgs", "m", "{}")
        presence.beat(door.redis, "fetch:host:7")
        for seconds in (0.2, 0.2, 400.0):
            for name, amount in tallies.of_stage("fetch", "fetched", seconds).items():
                door.redis.hincrbyfloat(tallies.KEY, name, amount)
        tallies.count(door.redis, "swept", 3, reason="asked")
        seen = samples(door.call("GET", "/metrics", token=None, headers=OPERATOR).body)
    assert seen["imports_queue_depth", (("queue", "fetch"), ("state", "waiting"))] == 1
    assert seen["imports_queue_depth", (("queue", "render"), ("state", "dead"))] == 0
    assert seen["imports_queue_oldest_age_seconds", (("queue", "fetch"),)] == 12.5
    assert seen["imports_by_state", (("state", "queued"),)] == 1
    assert seen["imports_groups_by_state", (("state", "expanding"),)] == 2
    assert seen["imports_queue_depth", (("queue", "rerender"), ("state", "delayed"))] == 3
    assert seen["imports_workers_alive", (("process", "fetch"),)] == 1
    labels = (("outcome", "fetched"), ("stage", "fetch"))
    assert seen["imports_stage_duration_seconds_bucket", (("le", "0.25"), *labels)] == 2
    assert seen["imports_stage_duration_seconds_bucket", (("le", "+Inf"), *labels)] == 3
    assert seen["imports_deliveries_total", labels] == 3
    assert seen["imports_swept_total", (("reason", "asked"),)] == 3
    assert seen["imports_redis_up", ()] == 1


def test_metrics_answer_while_every_store_is_away() -> None:
    """A scrape is 200 and says so; what cannot be known is left out and not zero."""
    with Door(redis=away(), mongodb_error=ServerSelectionTimeoutError("away")) as door:
        answer = door.call("GET", "/metrics", token=None, headers=OPERATOR)
    seen = samples(answer.body)
    assert answer.status == 200
    assert (seen["imports_redis_up", ()], seen["imports_mongodb_up", ()]) == (0, 0)
    assert not any(name == "imports_queue_depth" for name, _ in seen)


def test_metrics_do_not_wait_for_a_store_that_hangs() -> None:
    """A count that takes for ever is given up, and the rest is answered."""
    with Door() as door:
        door.imports.delay = 60
        begun = time.monotonic()
        assert door.call("GET", "/metrics", token=None, headers=OPERATOR).status == 200
        assert time.monotonic() - begun < 30, "three parts of 2.5 s, on a busy machine"


PAGES = ["/metrics", "/dashboard", "/dashboard/login", f"/dashboard/images/{IMPORT_ID}/small"]


@pytest.mark.parametrize("path", PAGES)
def test_without_a_password_nothing_of_the_operator_is_served(path: str) -> None:
    """Where there is no password, the pages are not there, from this machine either: the very answer of no route."""
    with Door(operator_password=None) as door:
        for peer in ("127.0.0.1", "::1", "10.0.0.9"):
            for headers in ([], OPERATOR, [("Host", "127.0.0.1:8000")], [("Cookie", "operator_session=1.1")]):
                for method in ("GET", "POST"):
                    answer = door.call(method, path, token=None, headers=headers, peer=peer)
                    nowhere = door.call(method, "/nowhere", token=None, headers=headers, peer=peer)
                    assert answer.status == nowhere.status == 404
                    assert answer.body.replace(path.encode(), b"") == nowhere.body.replace(b"/nowhere", b"")


@pytest.mark.parametrize("path", ["/metrics", "/dashboard"])
def test_with_a_password_it_is_asked_of_everybody(path: str) -> None:
    """Basic authentication as `operator`, on this machine as elsewhere; the challenge names that scheme."""

    def basic(text: str) -> list[tuple[str, str]]:
        return [("Authorization", f"Basic {base64.b64encode(text.encode()).decode()}")]

    with Door(operator_password="päss:word") as door:
        refused_ = door.call("GET", path, token=None)
        assert refused_.status == 401
        assert (refused_["www-authenticate"] or "").startswith("Basic ")
        for wrong in ("operator:", "operator:word", "root:päss:word", ""):
            assert door.call("GET", path, token=None, headers=basic(wrong)).status == 401
        right = door.call("GET", path, token=None, headers=basic("operator:päss:word"), peer="10.0.0.9")
        assert right.status == 200


BROWSER = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def logged_in(door: Door, password: str = OPERATOR_PASSWORD, **more: object) -> Answer:
    """Send the form with a password."""
    body = f"user=operator&password={quote_plus(password)}".encode()
    return door.call("POST", "/dashboard/login", token=None, headers=[FORM], body=body, **more)


def test_a_person_logs_in_on_a_page() -> None:
    """A browser is sent to a form; the password there brings a cookie that scripts and other sites cannot use."""
    with Door() as door:
        sent = door.call("GET", "/dashboard", token=None, headers=[BROWSER])
        assert (sent.status, sent["location"], sent.body) == (303, "/dashboard/login", b"")
        page = door.call("GET", "/dashboard/login", token=None, headers=[BROWSER])
        assert page.status == 200
        assert b'type="password"' in page.body
        assert "form-action 'self'" in (page["content-security-policy"] or "")
        wrong = logged_in(door, "guess")
        assert (wrong.status, wrong["set-cookie"], wrong["location"]) == (403, None, None)
        assert b"not the password" in wrong.body
        right = logged_in(door)
        assert (right.status, right["location"]) == (303, "/dashboard")
        cookie, *attributes = (right["set-cookie"] or "").split("; ")
        assert {"HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={SESSION_SECONDS}"} == set(attributes)
        for path in ("/dashboard", "/metrics"):
            assert door.call("GET", path, token=None, headers=[("Cookie", cookie)]).status == 200


def test_a_cookie_stays_off_plain_http_where_the_proxy_speaks_tls() -> None:
    """Behind a proxy that says it was reached by https, the cookie is never sent in the clear."""
    with Door() as door:
        body = f"password={quote_plus(OPERATOR_PASSWORD)}".encode()
        proxied = [FORM, ("X-Forwarded-Proto", "https")]
        answer = door.call("POST", "/dashboard/login", token=None, headers=proxied, body=body)
    assert "Secure" in (answer["set-cookie"] or "").split("; ")


def test_a_session_ends_and_cannot_be_made() -> None:
    """Neither a changed end, nor another password's session, nor one whose time is over opens anything."""
    now = [NOW]
    sessions = OperatorSessions("one password", clock=lambda: now[0])
    value = sessions.begin()
    assert sessions.holds(value)
    ends, _, signature = value.partition(".")
    for forged in (
        f"{int(ends) + 1:012}.{signature}",
        f"{ends}.",
        ends,
        "",
        ".",
        f"{ends}.{'0' * 64}",
        "é.é",
    ):
        assert not sessions.holds(forged)
    assert not OperatorSessions("another password", clock=lambda: NOW).holds(value)
    now[0] += timedelta(seconds=SESSION_SECONDS)
    assert not sessions.holds(value)


def test_a_link_with_a_session_opens_the_dashboard_once_it_is_good() -> None:
    """Whoever had the password can make a link that logs in; one that is not good leads to the form."""
    with Door() as door:
        session = (logged_in(door)["set-cookie"] or "").partition("=")[2].partition(";")[0]
        opened = door.call("GET", f"/dashboard/login?session={session}", token=None, headers=[BROWSER])
        assert (opened.status, opened["location"]) == (303, "/dashboard")
        cookie = (opened["set-cookie"] or "").partition(";")[0]
        assert door.call("GET", "/dashboard", token=None, headers=[("Cookie", cookie)]).status == 200
        for spoilt in (session[:-1], "1.1", "", "a&session[b]=c"):
            answer = door.call("GET", f"/dashboard/login?session={spoilt}", token=None, headers=[BROWSER])
            assert answer["set-cookie"] is None
            assert answer.status in (400, 403)


def test_guesses_on_the_page_are_counted_like_all_others() -> None:
    """Beyond the limit a guess is answered 429, and the right password still logs in."""
    with Door(failed_logins_per_peer=2) as door:
        assert [logged_in(door, f"guess {n}").status for n in range(4)] == [403, 403, 429, 429]
        assert logged_in(door).status == 303
        assert logged_in(door, "x" * 5_000).status == 413


def test_the_dashboard_shows_why_an_import_failed_and_escapes_what_callers_named() -> None:
    """The code in words, the picture where there is one, and no element of a caller's making."""
    picture = "11111111-2222-5333-8444-555555555555"
    with Door(imports=Kept(failed_import(image_id=picture))) as door:
        answer = door.call("GET", "/dashboard", token=None, headers=OPERATOR)
    page = answer.body.decode()
    assert "Send attachment_id &amp; more." in page
    assert "attachment_missing" in page
    assert ">rerender<" in page
    assert "<b>2</b><span>expanding</span>" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert f'src="/dashboard/images/{picture}/small"' in page
    for size in ("large", "medium", "small"):
        assert f'href="/dashboard/images/{picture}/{size}"' in page
    assert answer["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in (answer["content-security-policy"] or "")


def test_the_dashboard_stays_small_with_the_longest_names_that_are_accepted() -> None:
    """32 imports whose names are a megabyte of what HTML writes as five characters make a page of some kilobytes."""
    with Door(body_bytes=2**20, ids=[str(uuid.UUID(int=number)) for number in range(64)]) as door:
        for _ in range(32):
            body = b"filename=" + b"<" * (500 * 1024)
            sent = [("Content-Type", "application/x-www-form-urlencoded")]
            assert door.call("POST", "/api/v1/imports", body=body, headers=sent).status == 200
        page = door.call("GET", "/dashboard", token=None, headers=OPERATOR).body
    assert page.count(b"<bdi>&lt;&lt;") == dashboard.LATEST
    assert len(page) < 128 * 1024


def test_what_others_put_into_redis_reaches_no_page() -> None:
    """A process, a count or a number of calls that none of ours can have written is left out, and the pages answer."""
    with Door() as door:
        presence.beat(door.redis, "fetch:host:7")
        presence.beat(door.redis, f"fetch:{'h' * 100_000}:7")
        presence.beat(door.redis, "no process of ours")
        door.redis.hset(tallies.KEY, f"swept|reason={'r' * 100_000}", 1)
        door.redis.hset(tallies.KEY, "swept|reason", "many")
        door.redis.sadd("imports:quota", "o" * 100_000, "odd")
        door.redis.hset("imports:quota:odd", mapping={"used": "many"})
        for path in ("/dashboard", "/metrics"):
            answer = door.call("GET", path, token=None, headers=OPERATOR)
            assert answer.status == 200
            assert len(answer.body) < 64 * 1024
        assert 'imports_workers_alive{process="fetch"} 1' in answer.body.decode()


HIDDEN = [
    chr(one)
    for one in range(sys.maxunicode + 1)
    if unicodedata.category(chr(one)) in ("Cc", "Cf", "Zl", "Zp")
]


def test_no_name_can_hide_or_turn_round_what_the_dashboard_shows() -> None:
    """Controls, bidi overrides and characters without width are marked; a name in Arabic stands apart from its line."""
    named = {
        str(uuid.UUID(int=n)): "a" + "".join(HIDDEN[start : start + 150]) + "z"
        for n, start in enumerate(range(0, len(HIDDEN), 150))
    }
    documents = [failed_import(_id=id_, filename=name) for id_, name in named.items()]
    with Door(imports=Kept(*documents, failed_import(filename="صورة.jpg"))) as door:
        page = door.call("GET", "/dashboard", token=None, headers=OPERATOR).body.decode()
    assert len(documents) < dashboard.LATEST
    assert page.count("a�") >= len(documents)
    assert not set(page) & set(HIDDEN) - {"\n"}
    assert "<bdi>صورة.jpg</bdi>" in page


def test_the_dashboard_says_what_cannot_be_shown() -> None:
    """With both stores away it is a page all the same."""
    with Door(redis=away(), mongodb_error=ServerSelectionTimeoutError("away")) as door:
        door.imports.error = ServerSelectionTimeoutError("away")
        answer = door.call("GET", "/dashboard", token=None, headers=OPERATOR)
    assert answer.status == 200
    assert answer.body.count(b"cannot be shown") == 5


def test_the_description_names_exactly_the_routes_that_exist() -> None:
    """Each described operation is served, each served one is described, and the page tells of all of them."""
    with Door() as door:
        described = door.call("GET", "/openapi.json", token=None).json()
        page = door.call("GET", "/docs", token=None).body.decode()
        for path, methods in described["paths"].items():
            filled = path.replace("{import_id}", IMPORT_ID).replace("{image_id}", IMPORT_ID)
            allow = door.call("TRACE", filled.replace("{name}", "small"), token=None)["allow"]
            assert (allow or "").lower().split(", ") == list(methods), path
            assert path in page
    routes = {route for route, _ in door_routes(door)}
    assert routes == set(openapi.DOCUMENT["paths"])


def door_routes(door: Door) -> list[tuple[str, object]]:
    """Return the routes that the application serves."""
    return [(route.path, route) for route in inspect_routes(door.app._app)]  # type: ignore[arg-type]

"""However many threads want one, an organization's session is made once and only when that is of use."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sandbox.salesforce.api import Api
from tests.conformance.organization import PICTURE, World, in_time, organization_at
from workers.failures import Failure, Throttled
from workers.sources.salesforce.sessions import BURST


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(24) as pool:
        yield pool


def outcome(world: World, record_id: str) -> str:
    try:
        return "whole" if world.fetch(record_id)[1] == PICTURE else "wrong"
    except Failure as failure:
        return failure.code


def test_the_first_login_is_made_once_for_all_threads(world: World, threads: ThreadPoolExecutor) -> None:
    """Twenty-four threads without a session make one login."""
    record_id = world.add()
    assert set(threads.map(lambda _: outcome(world, record_id), range(24))) == {"whole"}
    assert world.asked_to_log_in == 1


def test_an_expired_session_is_renewed_once_for_all_threads(
    world: World, threads: ThreadPoolExecutor
) -> None:
    """Twenty-four threads that are all told 401 make one login, and each finishes its import."""
    record_id = world.add()
    world.fetch(record_id)
    world.control("DELETE", "sessions")
    assert set(threads.map(lambda _: outcome(world, record_id), range(24))) == {"whole"}
    assert world.logins == 2


def test_a_session_that_expires_between_row_and_body_costs_no_attempt(world: World) -> None:
    """401 in the middle of an attempt is mended by one new login."""
    record_id = world.add()
    world.spoil("expire_sessions", path="/Body$")
    assert world.fetch(record_id)[1] == PICTURE
    assert world.logins == 2


def test_a_call_that_is_repeated_asks_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a new login the repeated call carries every header of the first, bar the token."""
    record_id = world.add()
    asked: list[dict[str, str]] = []
    answered = Api.answer

    def recorded(api: Api, call: Any, instance_url: str) -> Any:
        if call.path.endswith("/Body"):
            asked.append(dict(call.headers))
        return answered(api, call, instance_url)

    monkeypatch.setattr(Api, "answer", recorded)
    visit = world.source.visit(record_id, deadline=in_time())
    record = visit.describe()
    world.control("DELETE", "sessions")
    visit.stream(record, io.BytesIO(), max_bytes=1 << 24)
    first, second = asked
    assert first.pop("authorization") != second.pop("authorization")
    assert first == second
    assert first["accept-encoding"] == "identity"


def test_a_session_refused_twice_is_about_the_organization(world: World) -> None:
    """With 401 for ever an import makes one new login and three calls at most, then waits; nothing is counted."""
    record_id = world.add()
    world.fetch(record_id)
    world.spoil("status", status=401, body="<html>not even JSON</html>", path="/sobjects/", times=None)
    visit = world.source.visit(record_id, deadline=in_time())
    with pytest.raises(Throttled) as caught:
        visit.describe()
    assert (caught.value.code, caught.value.scope) == ("salesforce_session_refused", "organization")
    assert (world.asked_to_log_in, visit.calls) == (2, 2)


def test_sessions_refused_for_ever_bound_the_logins(world: World) -> None:
    """However many imports are refused, logins stay far below what blocks the user, and then wait."""
    record_id, clock = world.add(), Clock()
    source = organization_at(world.url, monotonic=clock)
    world.spoil("status", status=401, path="/sobjects/", times=None)
    codes = []
    for _ in range(BURST + 10):
        with pytest.raises(Failure) as caught:
            source.visit(record_id, deadline=in_time()).describe()
        codes.append(caught.value.code)
    assert world.asked_to_log_in == BURST
    assert codes[-1] == "salesforce_unavailable"
    world.heal()
    clock.now += 5  # one login more is allowed by then: healed is healed
    assert source.visit(record_id, deadline=in_time()).describe().size == len(PICTURE)
    source.close()


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("This session is not valid for use with the REST API", "API Enabled"),
        ("This session is not valid for use with the API", "OAuth scope"),
        ("High-assurance session required", "session security level"),
        ("The session level is too low for this operation", "session security level"),
        ("Your IP address is not allowed to use this session", "login IP ranges"),
        ("IP restricted or invalid login hours", "login IP ranges"),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_fresh_session_that_is_refused_needs_an_administrator(
    world: World, threads: ThreadPoolExecutor, status: int, message: str, advice: str
) -> None:
    """A hundred imports wait and count nothing, one login is tried a minute, and the reason says what to change."""
    record_id, clock = world.add(), Clock()
    source = organization_at(world.url, monotonic=clock)
    body = [{"message": message, "errorCode": "INVALID_SESSION_ID"}]
    world.spoil("status", status=status, body=body, path="/services/data/", times=None)

    def refused(_: int) -> tuple[str, float, float]:
        with pytest.raises(Throttled) as caught:
            source.visit(record_id, deadline=in_time()).describe()
        assert advice in caught.value.detail
        return caught.value.waiting_for, caught.value.probe_after, caught.value.probe_cap

    assert set(threads.map(refused, range(100))) == {("salesforce_session", 60, 60)}
    assert world.asked_to_log_in == 1
    clock.now += 59
    refused(0)
    assert world.asked_to_log_in == 1
    clock.now += 2
    refused(0)
    assert world.asked_to_log_in == 2
    world.heal()
    clock.now += 61
    assert source.visit(record_id, deadline=in_time()).describe().size == len(PICTURE)
    source.close()


def test_a_wrong_secret_costs_one_login_a_minute(world: World, threads: ThreadPoolExecutor) -> None:
    """A hundred imports with wrong credentials wait; one login is tried, and one more a minute later."""
    record_id, clock = world.add(), Clock()
    source = organization_at(world.url, secret="wrong", monotonic=clock)

    def refused(_: int) -> tuple[str, float, float]:
        with pytest.raises(Throttled) as caught:
            source.visit(record_id, deadline=in_time()).describe()
        return caught.value.waiting_for, caught.value.probe_after, caught.value.probe_cap

    assert set(threads.map(refused, range(100))) == {("salesforce_credentials", 60, 60)}
    clock.now += 59
    refused(0)
    assert world.asked_to_log_in == 1
    clock.now += 2
    refused(0)
    assert world.asked_to_log_in == 2
    source.close()


@pytest.mark.parametrize(
    ("fault", "waiting_for", "wait"),
    [
        ({"kind": "status", "status": 503}, "salesforce", 5),
        ({"kind": "status", "status": 503, "headers": {"Retry-After": "40"}}, "salesforce", 40),
        ({"kind": "html200"}, "salesforce", 5),
        ({"kind": "status", "status": 200, "body": ["a list"]}, "salesforce", 5),
        ({"kind": "status", "status": 200, "body": {"access_token": "t"}}, "salesforce", 5),
        ({"kind": "status", "status": 200, "body": {"instance_url": "http://127.0.0.1"}}, "salesforce", 5),
        ({"kind": "reset"}, "salesforce", 5),
        ({"kind": "redirect", "location": "https://evil.example"}, "salesforce", 5),
        ({"kind": "status", "status": 400, "body": {"error": "temporarily_unavailable"}}, "salesforce", 5),
        ({"kind": "status", "status": 400, "body": {"error": "invalid_grant"}}, "salesforce_credentials", 60),
        (
            {"kind": "status", "status": 401, "body": {"error": "invalid_client"}},
            "salesforce_credentials",
            60,
        ),
        ({"kind": "limit_exceeded"}, "salesforce_quota", 60),
        (
            {"kind": "status", "status": 400, "body": {"error": "invalid_client_id"}},
            "salesforce_credentials",
            60,
        ),
        ({"kind": "status", "status": 400, "body": {"error": "inactive_user"}}, "salesforce_credentials", 60),
        (
            {
                "kind": "status",
                "status": 403,
                "body": [{"errorCode": "API_CURRENTLY_DISABLED", "message": "API is disabled for this User"}],
            },
            "salesforce_credentials",
            60,
        ),
        (
            {
                "kind": "status",
                "status": 500,
                "body": "<sf:exceptionCode>INVALID_OPERATION_WITH_EXPIRED_PASSWORD</sf:exceptionCode>",
            },
            "salesforce_credentials",
            60,
        ),
        (
            {
                "kind": "status",
                "status": 500,
                "body": "<sf:exceptionCode>SERVER_UNAVAILABLE</sf:exceptionCode>",
            },
            "salesforce",
            5,
        ),
        (
            {
                "kind": "status",
                "status": 500,
                "body": "<sf:exceptionCode>LOGIN_RATE_EXCEEDED</sf:exceptionCode>",
            },
            "salesforce_login_limit",
            3600,
        ),
        (
            {
                "kind": "status",
                "status": 400,
                "body": {"error": "invalid_grant", "error_description": "login rate exceeded"},
            },
            "salesforce_login_limit",
            3600,
        ),
    ],
)
def test_a_failed_login_is_about_the_organization(
    world: World, fault: dict[str, object], waiting_for: str, wait: float
) -> None:
    """No failure of a login counts an attempt; what a person or time must mend is told apart."""
    record_id = world.add()
    world.spoil(**fault, path="/oauth2/token", times=None)  # type: ignore[arg-type]
    with pytest.raises(Throttled) as caught:
        world.fetch(record_id)
    assert (caught.value.waiting_for, caught.value.probe_after) == (waiting_for, wait)


def test_threads_that_waited_for_a_failed_login_share_its_failure(
    world: World, threads: ThreadPoolExecutor
) -> None:
    """Twelve threads behind a login that answers late and badly do not each try for as long in turn."""
    record_id = world.add()
    world.spoil("stall", path="/oauth2/token", seconds=1, times=1)
    world.spoil("status", path="/oauth2/token", times=None)
    codes = list(threads.map(lambda _: outcome(world, record_id), range(12)))
    assert set(codes) == {"salesforce_unavailable"}
    assert world.asked_to_log_in + int(world.server.api.calls["spoilt"]) <= 3

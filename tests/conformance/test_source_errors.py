"""Every error that the vendor documents has a verdict of its own class, told by the vendor's very words."""

from __future__ import annotations

import pytest

from sandbox.salesforce import errors
from tests.conformance.organization import PICTURE, World, in_time, organization_at
from workers.failures import Failure, Permanent, Throttled, Transient

P, T, W = Permanent, Transient, Throttled
REST: dict[str, tuple[type[Failure], str]] = {
    "INVALID_SESSION_ID": (W, "salesforce_session_refused"),
    "REQUEST_LIMIT_EXCEEDED": (W, "salesforce_quota"),
    "API_DISABLED_FOR_ORG": (P, "attachment_refused"),
    "API_CURRENTLY_DISABLED": (P, "attachment_refused"),
    "INSUFFICIENT_ACCESS_OR_READONLY": (P, "attachment_refused"),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": (P, "attachment_refused"),
    "NOT_FOUND": (P, "attachment_not_found"),
    "ENTITY_IS_DELETED": (P, "attachment_deleted"),
    "MALFORMED_ID": (P, "attachment_id_invalid"),
    "MALFORMED_QUERY": (P, "salesforce_request_refused"),
    "INVALID_FIELD": (P, "salesforce_request_refused"),
    "INVALID_TYPE": (P, "salesforce_object_hidden"),
    "INVALID_QUERY_LOCATOR": (T, "salesforce_listing_lost"),
    "UNABLE_TO_LOCK_ROW": (T, "salesforce_record_busy"),
    "QUERY_TIMEOUT": (T, "salesforce_record_busy"),
    "METHOD_NOT_ALLOWED": (P, "salesforce_request_refused"),
    "UNSUPPORTED_API_VERSION": (P, "salesforce_api_version"),
    "URI_TOO_LONG": (P, "salesforce_request_refused"),
    "UNSUPPORTED_MEDIA_TYPE": (P, "salesforce_request_refused"),
    "REQUEST_HEADER_FIELDS_TOO_LARGE": (P, "salesforce_request_refused"),
    "UNKNOWN_EXCEPTION": (T, "salesforce_unavailable"),
    "SERVER_UNAVAILABLE": (T, "salesforce_unavailable"),
}
LOGIN = {
    **dict.fromkeys((*errors.OAUTH, *errors.SOAP), "salesforce_credentials"),
    "server_error": "salesforce_unavailable",
    "rate_limit_exceeded": "salesforce_login_limit",
    "LOGIN_RATE_EXCEEDED": "salesforce_login_limit",
}


def test_no_error_is_left_out() -> None:
    """An error that the simulation learns to send must be given a row here."""
    assert set(REST) == set(errors.REST)


@pytest.mark.parametrize("code", REST)
def test_an_error_of_a_record(world: World, code: str) -> None:
    """What a row is answered with decides whether the import fails, is tried again, or waits."""
    record_id = world.add()
    world.spoil("error", code=code, path="/sobjects/", times=None)
    with pytest.raises(Failure) as caught:
        world.fetch(record_id)
    assert (type(caught.value), caught.value.code) == REST[code]
    world.heal()
    assert world.fetch(record_id)[1] == PICTURE


@pytest.mark.parametrize("code", LOGIN)
def test_an_error_of_a_login(world: World, code: str) -> None:
    """No login that is refused fails an import; what a person must mend is told from what time mends."""
    record_id = world.add()
    world.spoil("error", code=code, path="/oauth2/token", times=None)
    source = organization_at(world.url)
    with pytest.raises(Throttled) as caught:
        source.visit(record_id, deadline=in_time()).describe()
    assert caught.value.code == LOGIN[code]
    source.close()


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (429, "Too many requests for this org", "salesforce_busy"),
        (429, "", "salesforce_busy"),
        (429, "ConcurrentPerOrgLongTxn Limit exceeded.", "salesforce_busy"),
        (403, "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", "salesforce_busy"),
        (400, "Slow down", "salesforce_busy"),
        (429, "TotalRequests Limit exceeded.", "salesforce_quota"),
        (403, "TotalRequests Limit exceeded.", "salesforce_quota"),
        (403, "Some other text", "salesforce_quota"),
        (400, "TotalRequests Limit exceeded.", "salesforce_quota"),
    ],
)
def test_a_429_is_a_busy_answer_whatever_its_code(world: World, status: int, message: str, code: str) -> None:
    """Only what names the total, or comes as 403, is the day's total; the rest is over in seconds."""
    record_id = world.add()
    body = [{"message": message, "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    world.spoil("status", status=status, body=body, path="/sobjects/", times=None)
    with pytest.raises(Throttled) as caught:
        world.fetch(record_id)
    assert caught.value.code == code
    assert (caught.value.probe_after <= 15) == (code == "salesforce_busy")


def test_a_429_waits_as_long_as_it_says(world: World) -> None:
    """Retry-After of a busy answer is honoured, whatever its code."""
    record_id = world.add()
    body = [{"message": "Slow down", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    world.spoil("status", status=429, body=body, headers={"Retry-After": "3"}, path="/sobjects/", times=None)
    with pytest.raises(Throttled) as caught:
        world.fetch(record_id)
    assert (caught.value.probe_after, caught.value.probe_cap) == (3, 3)

"""Whatever stops a request becomes one problem answer, decided by its code alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ingest import errors
from ingest.errors import CODES, ProblemError, problem

RAISED = [
    (errors.BadRequestError("json_malformed", "The body is not JSON at character 3."), 400, {}),
    (
        errors.UnauthenticatedError(),
        401,
        {"X-message": "Access denied", "WWW-Authenticate": 'Token realm="Application"'},
    ),
    (errors.NotFoundError(), 404, {}),
    (errors.MethodNotAllowedError(["GET", "HEAD"]), 405, {"Allow": "GET, HEAD"}),
    (errors.ConflictError("It has ended."), 409, {}),
    (errors.LengthRequiredError(), 411, {}),
    (errors.PayloadTooLargeError(1024), 413, {}),
    (errors.UnsupportedMediaTypeError("Send JSON."), 415, {}),
    (errors.UnsupportedMediaTypeError("Send it plain.", code="content_encoding_unsupported"), 415, {}),
    (ProblemError("unprocessable", "No such state."), 422, {}),
    (errors.TooManyRequestsError(1.2), 429, {"Retry-After": "2"}),
    (errors.UnavailableError(0), 503, {"Retry-After": "1"}),
]


def shown(error: BaseException | str, **more: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
    status, headers, body = problem(error, **{"request_id": "r-1", "instance": "/api/v1/imports", **more})
    assert len(headers) == len(dict(headers))
    return status, dict(headers), json.loads(body)


@pytest.mark.parametrize(
    ("error", "status", "headers"), RAISED, ids=lambda value: getattr(value, "code", None)
)
def test_every_refusal_of_the_door_has_its_answer(
    error: ProblemError, status: int, headers: dict[str, str]
) -> None:
    """Status, headers of its own, and the members of RFC 9457 with ours, in their order."""
    found, own, body = shown(error)
    assert found == body["status"] == status == CODES[error.code].status
    assert own == {"Content-Type": "application/problem+json", **headers}
    assert list(body) == ["type", "title", "status", "detail", "instance", "error", "code", "request_id"]
    assert body["type"] == f"urn:problem:import-api:{error.code}"
    assert body["error"] == CODES[error.code].phrase
    assert body["code"] == error.code
    assert body["detail"] == error.detail
    assert (body["instance"], body["request_id"]) == ("/api/v1/imports", "r-1")


@pytest.mark.parametrize("code", CODES)
def test_every_code_can_be_answered_by_its_name(code: str) -> None:
    """With a detail of its own or, without one, with its title as a sentence."""
    status, _, body = shown(code)
    assert (status, body["detail"]) == (CODES[code].status, f"{CODES[code].title}.")
    assert shown(code, detail="Because.")[2]["detail"] == "Because."


def test_every_code_that_the_door_raises_is_in_the_list() -> None:
    """The codes written in the door's own modules are rows of the table, so that none turns into a 500."""
    folder = Path(errors.__file__).parent
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    raised = set(re.findall(r'Error\(\s*"([a-z_]+)"', text)) | set(
        re.findall(r'__init__\(\s*"([a-z_]+)"', text)
    )
    assert len(raised) > 10
    assert raised <= set(CODES)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret text"),
        KeyError("secret text"),
        "no_such_code",
        ProblemError("nor_this", "secret text"),
    ],
)
def test_what_is_not_in_the_list_is_a_500_that_says_nothing(error: BaseException | str) -> None:
    """Neither the exception's text nor its name leaves the house."""
    status, _, body = shown(error)
    assert (status, body["code"]) == (500, "internal_error")
    assert "secret" not in json.dumps(body)
    assert "Error" not in body["detail"]


def test_fields_at_fault_are_pointed_at() -> None:
    """One entry per field, with a JSON pointer."""
    entry = {"pointer": "#/b", "detail": "No."}
    _, _, body = shown(ProblemError("unprocessable", "Not so.", pointer="#/a", errors=[entry]))
    assert body["errors"] == [entry, {"pointer": "#/a", "detail": "Not so."}]
    assert shown("unprocessable", errors=[entry])[2]["errors"] == [entry]


def test_not_yours_and_not_there_are_the_same_bytes() -> None:
    """The class takes no detail, so nothing can tell them apart."""
    with pytest.raises(TypeError):
        errors.NotFoundError("It is not yours.")  # type: ignore[call-arg]
    assert problem(errors.NotFoundError(), request_id="r", instance="/a") == problem(
        errors.NotFoundError(), request_id="r", instance="/a"
    )


@pytest.mark.parametrize(
    ("path", "instance"),
    [("/a/é", "/a/%C3%A9"), ('/a"<\r\n\0', "/a%22%3C%0D%0A%00"), ("/a\udcff%41?", "/a%3F%2541%3F")],
)
def test_the_instance_is_a_uri_whatever_the_path_holds(path: str, instance: str) -> None:
    """Percent-encoded, without controls, quotes or halves of surrogates."""
    assert shown("not_found", instance=path)[2]["instance"] == instance


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "request_malformed"), (404, "not_found"), (405, "method_not_allowed"), (415, "media_type_unsupported"),
     (418, "request_malformed"), (500, "internal_error"), (502, "internal_error"), (503, "unavailable")],
)  # fmt: skip
def test_a_bare_status_has_a_code(status: int, code: str) -> None:
    """The first of the status in the table; one that we never send falls to the nearest we do."""
    assert errors.code_of(status) == code

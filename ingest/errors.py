"""Turn whatever stops a request into one problem answer (RFC 9457), from a closed list of codes.

An answer is decided by its code alone: the status, the reason phrase (as Rails wrote it, because old clients
print it) and the title stand in one table. So «not yours» and «not there» cannot differ, and every cause of
a 401 reads the same. Details are sentences of ours; neither a parameter nor the text of another exception
ever enters one. What is not in the table is a defect of ours and answers 500 without saying more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from ingest import json_text

PROBLEM_TYPE = "application/problem+json"
_URI = "/:@!$&'()*+,;=-._~"  # what a path may hold as it is; anything else is percent-encoded


class Kind(NamedTuple):
    """One row of the table: the status, its reason phrase, and what happened in a few words."""

    status: int
    phrase: str
    title: str


CODES: dict[str, Kind] = {
    "request_malformed": Kind(400, "Bad Request", "The request cannot be read"),
    "body_incomplete": Kind(400, "Bad Request", "The body is not as long as the request says"),
    "form_malformed": Kind(400, "Bad Request", "The form cannot be read"),
    "query_malformed": Kind(400, "Bad Request", "The query cannot be read"),
    "json_malformed": Kind(400, "Bad Request", "The JSON cannot be read"),
    "multipart_malformed": Kind(400, "Bad Request", "The multipart form cannot be read"),
    "file_not_accepted": Kind(400, "Bad Request", "Files are not taken here"),
    "parameters_conflict": Kind(400, "Bad Request", "A parameter is used in two ways"),
    "parameters_too_deep": Kind(400, "Bad Request", "The parameters are nested too deep"),
    "parameters_too_wide": Kind(400, "Bad Request", "The parameters have too many names"),
    "parameters_too_many": Kind(400, "Bad Request", "The parameters are too many"),
    "idempotency_key_invalid": Kind(400, "Bad Request", "The Idempotency-Key cannot be used"),
    "unauthenticated": Kind(401, "Unauthorized", "Access denied"),
    "forbidden": Kind(403, "Forbidden", "Not allowed"),
    "not_found": Kind(404, "Not Found", "Nothing is here"),
    "file_missing": Kind(404, "Not Found", "The file is not in the store"),
    "method_not_allowed": Kind(405, "Method Not Allowed", "This method is not served here"),
    "not_acceptable": Kind(406, "Not Acceptable", "Only JSON is served here"),
    "request_timeout": Kind(408, "Request Timeout", "The request did not arrive in time"),
    "conflict": Kind(409, "Conflict", "The request meets another one"),
    "gone": Kind(410, "Gone", "It was here and is no more"),
    "length_required": Kind(411, "Length Required", "A Content-Length is needed"),
    "precondition_failed": Kind(412, "Precondition Failed", "A condition of the request does not hold"),
    "payload_too_large": Kind(413, "Payload Too Large", "The body is too large"),
    "uri_too_long": Kind(414, "URI Too Long", "The address is too long"),
    "media_type_unsupported": Kind(415, "Unsupported Media Type", "This kind of body is not read here"),
    "content_encoding_unsupported": Kind(415, "Unsupported Media Type", "Encoded bodies are not read here"),
    "range_not_satisfiable": Kind(416, "Range Not Satisfiable", "No such range"),
    "unprocessable": Kind(422, "Unprocessable Entity", "The request has no possible meaning"),
    "import_type_unknown": Kind(422, "Unprocessable Entity", "No such source"),
    "album_id_invalid": Kind(422, "Unprocessable Entity", "This is no album"),
    "parameter_invalid": Kind(422, "Unprocessable Entity", "A parameter has no possible meaning"),
    "idempotency_key_reused": Kind(
        422, "Unprocessable Entity", "The Idempotency-Key belongs to another request"
    ),
    "too_many_requests": Kind(429, "Too Many Requests", "Too many requests"),
    "headers_too_large": Kind(431, "Request Header Fields Too Large", "The headers are too large"),
    "internal_error": Kind(500, "Internal Server Error", "Something went wrong on our side"),
    "unavailable": Kind(503, "Service Unavailable", "Try again in a moment"),
}
_BY_STATUS = {kind.status: code for code, kind in reversed(CODES.items())}  # the first code of each status


class ProblemError(Exception):
    """The request ends here, with `code` (a key of CODES), a sentence for people, and the answer's headers.

    `pointer` (RFC 6901, as `#/attachment_id`) names the field at fault where there is one; `errors` are
    further `{"pointer", "detail"}` entries.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        pointer: str | None = None,
        errors: Sequence[dict[str, str]] = (),
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.code, self.detail, self.headers = code, detail, tuple(headers)
        self.errors = (*errors, {"pointer": pointer, "detail": detail}) if pointer else tuple(errors)
        super().__init__(f"{code}: {detail}")


class BadRequestError(ProblemError):
    """400: the request cannot be read."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)


class UnauthenticatedError(ProblemError):
    """401: nobody is known by this Authorization. Takes no detail, so that no cause can be told from another."""

    def __init__(self) -> None:
        super().__init__("unauthenticated", "Send a valid token in the Authorization header.")


class NotFoundError(ProblemError):
    """404: not there, or not the caller's. Takes no detail, so that the two cannot be told apart."""

    def __init__(self) -> None:
        super().__init__("not_found", "There is nothing here for this token.")


class MethodNotAllowedError(ProblemError):
    """405: the route exists for `allowed` methods only."""

    def __init__(self, allowed: Sequence[str]) -> None:
        methods = ", ".join(allowed)
        super().__init__("method_not_allowed", f"Use one of: {methods}.", headers=(("Allow", methods),))


class ConflictError(ProblemError):
    """409: what another request did stands in the way."""

    def __init__(self, detail: str) -> None:
        super().__init__("conflict", detail)


class LengthRequiredError(ProblemError):
    """411: a body without Content-Length. Chunked framing is where servers disagree, and smuggling begins."""

    def __init__(self) -> None:
        super().__init__(
            "length_required", "Send the body with a Content-Length and without Transfer-Encoding."
        )


class PayloadTooLargeError(ProblemError):
    """413: more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__("payload_too_large", f"Send at most {limit} bytes.")


class UnsupportedMediaTypeError(ProblemError):
    """415: a kind of body, or with `content_encoding_unsupported` an encoding of one, that is not read."""

    def __init__(self, detail: str, *, code: str = "media_type_unsupported") -> None:
        super().__init__(code, detail)


class KeyReusedError(ProblemError):
    """422: the Idempotency-Key came with other parameters before."""

    def __init__(self) -> None:
        super().__init__(
            "idempotency_key_reused",
            "This Idempotency-Key was sent with other parameters before; give a new request a new key.",
        )


class TooManyRequestsError(ProblemError):
    """429: come back in `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            "too_many_requests", "Wait before the next request.", headers=_retry_after(retry_after)
        )


class UnavailableError(ProblemError):
    """503: a store that is needed is away; nothing was accepted. Come back in `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            "unavailable",
            "Nothing was changed. Send the request again after the time named by Retry-After.",
            headers=_retry_after(retry_after),
        )


def code_of(status: int) -> str:
    """Return the code for an answer that the framework began with a bare status."""
    return _BY_STATUS.get(status, "internal_error" if status >= 500 else "request_malformed")


def problem(
    error: BaseException | str,
    *,
    request_id: str,
    instance: str,
    detail: str | None = None,
    errors: Sequence[dict[str, str]] = (),
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body of the answer to `error`: an exception, or a code of CODES.

    `instance` is the decoded path of the request, without its query, which may hold a token. An exception that is no
    ProblemError answers 500 and nothing of its text. The headers are the problem's own (Content-Type,
    and X-message, WWW-Authenticate, Allow, Retry-After where they belong); those of every answer come on top.
    """
    code, said, further, headers = "internal_error", None, tuple(errors), tuple[tuple[str, str], ...]()
    if isinstance(error, ProblemError):
        code, said, headers = error.code, error.detail, error.headers
        further = (*error.errors, *errors)
    elif isinstance(error, str):
        code, said = error, detail
    if code not in CODES:  # a defect of ours as well: the list is closed
        code, said = "internal_error", None
    kind = CODES[code]
    body: dict[str, Any] = {
        "type": f"urn:problem:import-api:{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": said or f"{kind.title}.",
        "instance": quote(instance, safe=_URI, errors="replace"),
        "error": kind.phrase,
        "code": code,
        "request_id": request_id,
    }
    if further:
        body["errors"] = list(further)
    own = [("Content-Type", PROBLEM_TYPE), *headers]
    if kind.status == 401:
        own += [("X-message", "Access denied"), ("WWW-Authenticate", 'Token realm="Application"')]
    return kind.status, own, json_text.encoded(body)


def _retry_after(seconds: float) -> tuple[tuple[str, str], ...]:
    """Round up: a client that comes back early finds the door still shut."""
    return (("Retry-After", str(max(1, -int(-seconds // 1)))),)

"""Judge how a request frames its body, and read a body that is bounded in bytes and in time.

Framing is judged before anything else: where two servers could disagree about where a body ends, a second
request can be hidden in the first. A body is read only after its sender is known.
"""

from __future__ import annotations

import asyncio

from falcon.asgi import Request

from ingest.errors import (
    BadRequestError,
    LengthRequiredError,
    PayloadTooLargeError,
    ProblemError,
    UnsupportedMediaTypeError,
)


def first_header(req: Request, name: bytes) -> str | None:
    """Return a header as sent (`name` in lower case); of several with one name, the first."""
    for sent, value in req.scope["headers"]:
        if sent == name:
            return str(value, "latin-1")
    return None


def judge_framing(req: Request) -> None:
    """Raise LengthRequiredError for any Transfer-Encoding; what it means is where servers disagree."""
    if first_header(req, b"transfer-encoding") is not None:
        error = LengthRequiredError()
        # Whatever follows on this connection might be the rest of this body: nobody may read it as a request.
        error.headers = (*error.headers, ("Connection", "close"))
        raise error


async def read_body(req: Request, *, max_bytes: int, seconds: float) -> bytes:
    """Return the whole body.

    Raises PayloadTooLargeError by what the request announces, before a byte is read,
    UnsupportedMediaTypeError for an encoded body, and ProblemError for one that is late or cut short.
    """
    announced = announced_length(req)
    if announced > max_bytes:
        raise PayloadTooLargeError(max_bytes)
    encoding = (first_header(req, b"content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaTypeError(
            "Send the body without Content-Encoding.", code="content_encoding_unsupported"
        )
    if announced == 0:
        return b""
    try:
        async with asyncio.timeout(seconds):
            body: bytes = await req.stream.read(announced)
    except TimeoutError:
        raise ProblemError(
            "request_timeout",
            f"Send the whole body within {seconds:g} seconds.",
            headers=(("Connection", "close"),),
        ) from None
    if len(body) != announced:
        raise BadRequestError("body_incomplete", "Send as many bytes as Content-Length says.")
    return body


def announced_length(req: Request) -> int:
    """Return the announced length; a request without one has no body (RFC 9112, 6.3). Raises BadRequestError."""
    given = (first_header(req, b"content-length") or "0").strip()
    if not (given.isascii() and given.isdigit()) or len(given) > 19:
        raise BadRequestError("request_malformed", "Send a Content-Length of digits only.")
    return int(given)

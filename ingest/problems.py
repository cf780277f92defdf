"""Catch whatever stops a request, and answer it as a problem: one place for every exception there is.

What is nobody's mistake but ours is logged with its traceback, once; the answer tells nothing of it.
"""

from __future__ import annotations

import traceback
from typing import Any

import falcon
import structlog
from falcon.asgi import App, Request, Response
from pymongo.errors import ConnectionFailure, DocumentTooLarge, PyMongoError

from common.blobs.seam import BlobMissingError, BlobsUnavailableError
from common.documents.insert_batch import LARGEST_DOCUMENT
from ingest import errors
from ingest.access import OperatorUnknownError
from ingest.budget import RETRY_AFTER

log = structlog.get_logger(__name__)


def install(app: App[Request, Response]) -> None:
    """Let every exception of a request end in a problem answer."""
    for kind in (Exception, falcon.HTTPError, falcon.HTTPStatus):
        app.add_error_handler(kind, answer)


async def answer(
    req: Request,
    resp: Response,
    error: Exception,
    _params: dict[str, Any],
) -> None:
    """Write the problem of an exception into the answer; headers of every answer are added later."""
    told = _told(error)
    status, headers, body = errors.problem(told, request_id=req.context.request_id, instance=req.path)
    if isinstance(told, OperatorUnknownError):
        headers = [*(pair for pair in headers if pair[0] != "WWW-Authenticate"), *told.headers]
    if status >= 500 and not isinstance(told, errors.ProblemError):
        log.error("unexpected error", **_where(error))
    resp.status, resp.data, resp.stream = falcon.code_to_http_status(status), body, None
    resp.context.own, resp.context.file = headers, None
    resp.context.code = told.code if isinstance(told, errors.ProblemError) else "internal_error"


def _told(error: Exception) -> Exception:
    """Return the exception that tells a caller what happened; one that nobody expected is returned itself."""
    told = error
    match error:
        case falcon.HTTPNotFound():
            told = errors.NotFoundError()
        case falcon.HTTPError():
            told = errors.ProblemError(errors.code_of(error.status_code), "The request cannot be read.")
        case BlobMissingError():
            told = errors.ProblemError("file_missing", "The bytes of this file are not in the blob store.")
        case BlobsUnavailableError() | ConnectionFailure():
            told = errors.UnavailableError(RETRY_AFTER)
        case DocumentTooLarge():
            told = errors.PayloadTooLargeError(LARGEST_DOCUMENT)
        case PyMongoError():
            # A full disk, a store that is being restored: not a lost connection, yet it heals like one.
            log.error("mongodb refused", **_where(error))
            told = errors.UnavailableError(RETRY_AFTER)
    return told


def _where(error: BaseException) -> dict[str, Any]:
    """Return what may be logged of an exception: its kind and where it was raised, without its text.

    The text may quote what the caller sent; the lines of the code do not.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "traceback": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    }

"""Bring a blob from a response into a file, and believe none of it until it is counted and looked at.

Memory holds one piece at a time. Pieces are read as they come (`read1`): waiting for a full piece would
keep a dripping answer from being ended in time.
"""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable, Iterator
from typing import BinaryIO

from requests import Response
from urllib3.exceptions import ProtocolError

from workers.failures import Permanent, Transient
from workers.sources.record import Received, Record
from workers.sources.salesforce.wire import PIECE
from workers.spool import spooling

HEAD = 512


def receive(
    response: Response,
    record: Record,
    sink: BinaryIO,
    *,
    max_bytes: int,
    alive: Callable[[], None],
) -> Received:
    """Write the body to the sink and verify it: length, digest, and that it is no page of text.

    `alive` is called for each piece that comes.

    Raises Permanent, Transient, Throttled (the sink cannot take it), and what urllib3 raises of a broken
    connection or of time.
    """
    announced = _announced(response)
    if announced is not None and record.size is None and announced > max_bytes:
        raise too_large(max_bytes)
    if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise Transient(
            "answer_not_a_file", "Salesforce sent the attachment in an encoding nobody asked for."
        )
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    length, head = 0, b""
    for piece in _pieces(response):
        alive()
        length += len(piece)
        head = head if len(head) >= HEAD else (head + piece)[:HEAD]
        # Where the row has told the size, more than that is a wrong answer and no larger attachment.
        if length > (max_bytes if record.size is None else record.size):
            raise _too_long(head, record, max_bytes)
        sha256.update(piece)
        if record.md5 is not None:
            md5.update(piece)
        with spooling():
            sink.write(piece)
    with spooling():
        sink.flush()
    if announced is not None and length < announced:
        raise _truncated()
    if is_page(head):
        raise _page(record, length)
    if record.size is not None and length != record.size:
        raise _wrong_length(record)
    if not length:
        raise empty()
    if record.md5 is not None and md5.hexdigest() != record.md5.lower():
        raise Transient("answer_wrong_digest", "Salesforce sent bytes that do not fit its own checksum.")
    return Received(bytes=length, sha256=sha256.hexdigest())


def check_promise(record: Record, *, max_bytes: int) -> None:
    """Refuse by its row, before a byte is asked for, what need not be fetched. Raises Permanent."""
    if record.size == 0:
        raise empty()
    if record.size is not None and record.size > max_bytes:
        raise too_large(max_bytes)


def empty() -> Permanent:
    """The attachment holds nothing."""
    return Permanent("attachment_empty", "The attachment is empty: upload the picture again.")


def too_large(max_bytes: int) -> Permanent:
    """The attachment is larger than is fetched."""
    return Permanent(
        "attachment_too_large",
        f"The attachment is larger than {max_bytes} bytes: make it smaller, or raise MAX_ORIGINAL_BYTES.",
    )


def is_page(head: bytes) -> bool:
    """Tell whether bytes begin like a page of HTML or an error in JSON, in the place of a file."""
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return begin.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b'[{"', b'{"error'))


def _pieces(response: Response) -> Iterator[bytes]:
    try:
        while piece := response.raw.read1(PIECE, decode_content=False):
            yield piece
    except ProtocolError as error:
        if any(isinstance(cause, http.client.IncompleteRead) for cause in error.args):
            raise _truncated() from None
        raise


def _announced(response: Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _page(record: Record, length: int) -> Permanent | Transient:
    if length == record.size:
        return Permanent("not_an_image", "The attachment is a page of text and no picture.")
    return Transient("answer_not_a_file", "Salesforce answered with a page in the place of the attachment.")


def _too_long(head: bytes, record: Record, max_bytes: int) -> Permanent | Transient:
    if record.size is None:
        return too_large(max_bytes)
    return _page(record, -1) if is_page(head) else _wrong_length(record)


def _wrong_length(record: Record) -> Transient:
    return Transient(
        "answer_wrong_length", f"Salesforce sent another number of bytes than the attachment's {record.size}."
    )


def _truncated() -> Transient:
    return Transient("answer_truncated", "The attachment broke off before its end.")

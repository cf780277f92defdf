"""Play an S3 bucket on loopback: enough of the wire that the object store's real client is what gets tested.

It holds objects in memory, takes uploads in parts, and fails on demand: set `fail_with` to a status, or
`stalled` to keep every answer back. `parts` shows uploads that were begun and neither completed nor aborted.
"""

from __future__ import annotations

import re
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Bucket(ThreadingHTTPServer):
    """A bucket named `blobs`; `objects` maps a key to bytes, time and content type."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.objects: dict[str, tuple[bytes, datetime, str]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.fail_with: int | None = None
        self.stalled = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that left in the middle of an answer, as one that has its range does."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def environment(self) -> dict[str, str]:
        """What a deployment sets to reach such a bucket."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server_address[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "a secret that no error may show",
            "AWS_REGION": "eu-west-3",
        }


@contextmanager
def run_bucket() -> Iterator[Bucket]:
    """Serve a bucket while the block runs."""
    with Bucket() as bucket:
        server = threading.Thread(target=bucket.serve_forever, kwargs={"poll_interval": 0.02})
        server.start()
        try:
            yield bucket
        finally:
            bucket.stalled.clear()
            bucket.shutdown()
            server.join()


class _Answers(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is its own."""

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _request(self) -> tuple[str, dict[str, str], bytes] | None:
        """Return key, query and body, after the faults that the test wants; None where it was answered."""
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        while self.server.stalled.wait(0) and not self.wfile.closed:
            threading.Event().wait(0.05)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        status = self.server.fail_with or (None if bucket == "blobs" else 404)
        if status is not None:
            self._answer(status, b"<Error><Code>Fault</Code><Message>on demand</Message></Error>")
            return None
        return key, query, body

    def do_PUT(self) -> None:
        if (request := self._request()) is None:
            return
        key, query, body = request
        if "uploadId" not in query:
            self.server.objects[key] = (body, datetime.now(UTC), self.headers.get("Content-Type", ""))
        elif query["uploadId"] in self.server.parts:
            self.server.parts[query["uploadId"]][int(query["partNumber"])] = body
        else:  # a part that was on its way when its upload was aborted
            self._answer(404, b"<Error><Code>NoSuchUpload</Code></Error>")
            return
        self._answer(200, headers={"ETag": '"0"'})

    def do_POST(self) -> None:
        if (request := self._request()) is None:
            return
        key, query, body = request
        if "uploads" in query:
            upload = uuid.uuid4().hex
            self.server.parts[upload] = {}
            self.server.objects.setdefault(
                f"~{upload}", (b"", datetime.now(UTC), self.headers["Content-Type"])
            )
            self._xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        elif "uploadId" in query:
            parts = self.server.parts.pop(query["uploadId"])
            _, _, content_type = self.server.objects.pop(f"~{query['uploadId']}")
            whole = b"".join(parts[number] for number in sorted(parts))
            self.server.objects[key] = (whole, datetime.now(UTC), content_type)
            self._xml("CompleteMultipartUploadResult", '<ETag>"0"</ETag>')
        else:  # ?delete: several at once
            names = re.findall(r"<Key>(.*?)</Key>", body.decode())
            for name in names:
                self.server.objects.pop(name, None)
            self._xml("DeleteResult", "".join(f"<Deleted><Key>{escape(n)}</Key></Deleted>" for n in names))

    def do_DELETE(self) -> None:
        if (request := self._request()) is None:
            return
        key, query, _ = request
        self.server.parts.pop(query.get("uploadId", ""), None)
        self.server.objects.pop(f"~{query['uploadId']}" if "uploadId" in query else key, None)
        self._answer(204)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if (request := self._request()) is None:
            return
        key, query, _ = request
        if "list-type" in query:
            self._list(query.get("prefix", ""))
        elif key in self.server.objects:
            self._object(*self.server.objects[key])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def _object(self, body: bytes, modified: datetime, content_type: str) -> None:
        headers = {
            "ETag": '"0"',
            "Last-Modified": format_datetime(modified, usegmt=True),
            "Content-Type": content_type,
        }
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None:
            self._answer(200, body, headers | {"Content-Length": str(len(body))})
            return
        first, last = int(wanted[1]), min(int(wanted[2]), len(body) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        self._answer(206, body[first : last + 1], headers)

    def _list(self, prefix: str) -> None:
        rows: list[Any] = [
            f"<Contents><Key>{escape(key)}</Key><LastModified>{modified.isoformat().replace('+00:00', 'Z')}"
            f"</LastModified><ETag>0</ETag><Size>{len(body)}</Size></Contents>"
            for key, (body, modified, _) in sorted(self.server.objects.items())
            if key.startswith(prefix) and not key.startswith("~")
        ]
        self._xml("ListBucketResult", f"<KeyCount>{len(rows)}</KeyCount>" + "".join(rows))

    def _xml(self, name: str, inside: str) -> None:
        self._answer(200, f'<?xml version="1.0"?><{name}>{inside}</{name}>'.encode())

"""Stand between the server and Falcon: tidy the path, hold the body back, let nothing escape.

- Old clients write `/api/v1/imports/`, `/api//v1/imports` and `/api/v1/imports.json`; Falcon would answer 404
  to each. The path that is routed is tidied; `raw_path` stays as it was sent.
- Falcon waits for the first piece of a body before it looks at the request at all, so a caller without a
  token could make it read, and one that announces 20 GB would be asked to begin. It is handed an empty first
  piece here; the real ones are received when a resource asks for them.
- A caller that hangs up in the middle of a picture does not have the rest of it read from the store.
- An answer that breaks off (the blob store went away in the middle of a picture) is told in one line; the
  server then cuts the connection, because the promised Content-Length was not reached.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FORMAT = "ingest.format"  # the scope's key for the route's extension: `json`, or None
GONE = "ingest.gone"  # set in the scope's `state` by our server when the connection is lost
_SLASHES = re.compile("/{2,}")
_API = "/api/"
_EXTENSION = ".json"

log = structlog.get_logger(__name__)


class CallerGoneError(Exception):
    """The connection was lost before the answer was out."""


def tidied(path: str) -> tuple[str, str | None]:
    """Return the path that is routed, and the format its extension names (`json` or None)."""
    path = _SLASHES.sub("/", path)
    if len(path) > 1:
        path = path.rstrip("/") or "/"
    if path.startswith(_API) and path.endswith(_EXTENSION):
        return path[: -len(_EXTENSION)], "json"
    return path, None


class Edge:
    """The ASGI application that the server calls."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (or the server's own start and end, which pass through)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, extension = tidied(scope["path"])
        first = True

        async def receive_when_asked() -> Message:
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": b"", "more_body": True}
            return await receive()

        state = scope.setdefault("state", {})

        async def send_while_there(message: Message) -> None:
            if state.get(GONE):
                raise CallerGoneError
            await send(message)

        routed = {**scope, "path": path, FORMAT: extension}
        try:
            await self._app(routed, receive_when_asked, send_while_there)
        except CallerGoneError:
            log.debug("caller hung up")
        except Exception as error:  # noqa: BLE001 - the last line: what Falcon could not turn into an answer
            log.warning("answer broke off", error=type(error).__name__)

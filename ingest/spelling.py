"""Write the names of an answer's headers as the original did: `X-token`, `P3P`, `Cache-Control`.

To HTTP the case of a name means nothing, and ASGI therefore has all of them in lower case. To a client that
compares them as text it does mean something, and such a client was never wrong before.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache

_CONTINUE = b"HTTP/1.1 100 "
_END = b"\r\n\r\n"
_LINE = b"\r\n"
_OWN_WAY = {
    name.lower(): name
    for name in (b"ETag", b"P3P", b"WWW-Authenticate", b"X-message", b"X-token", b"X-XSS-Protection")
}


def spelled(head: bytes) -> bytes:
    """Return the head of an answer, the status line and its headers, with each name in its usual spelling."""
    status, *headers = head.split(_LINE)
    return _LINE.join([status, *(_header(line) for line in headers)])


@lru_cache(maxsize=128)  # the names are ours, and few
def _name(name: bytes) -> bytes:
    return _OWN_WAY.get(name.lower()) or b"-".join(word.capitalize() for word in name.split(b"-"))


def _header(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    return _name(name) + colon + value


class AnswerTransport:
    """The connection as one answer sees it: its head is spelled on its way out, everything else passes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._begun = False

    def write(self, data: bytes) -> None:
        """Send bytes; the first that are no `100 Continue` begin with the head."""
        if not self._begun and not data.startswith(_CONTINUE):
            self._begun = True
            head, end, rest = data.partition(_END)
            data = spelled(head) + end + rest
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close the connection when what was written is out."""
        self._transport.close()

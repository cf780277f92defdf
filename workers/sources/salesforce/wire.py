"""Carry every call to an organization, its login included, through one session that trusts no answer.

simple-salesforce and our own streaming both go through `Wire.request`, so the rules stand in one place: a
deadline and timeouts for everything, known hosts only, no redirects, no cookies, no .netrc, answers read
up to a limit, and anything but 200 raised as `RefusedError` before a library can misread it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest, Response
from urllib3.exceptions import HTTPError

from workers.deadlines import on_duty
from workers.sources.salesforce.connections import WatchedAdapter
from workers.sources.salesforce.origins import Origin, loopback

CONNECT_SECONDS, READ_SECONDS = 3.05, 20.0
PIECE = 1 << 16
LONGEST_ANSWER = 8 << 20
"""Bytes of a row, a page of rows or a login; blobs are streamed and have a limit of their own."""
LONGEST_REFUSAL = 1 << 16

LOGIN_DOMAIN = "imports-login"
LOGIN_HOST = f"{LOGIN_DOMAIN}.salesforce.com"
"""The library writes its login URL as https://{domain}.salesforce.com; this one stands for the true origin."""

_USAGE = re.compile(r"(?:^|[\s;,])api-usage=(\d{1,12})/([1-9]\d{0,11})\b", re.ASCII)

BROKEN = (requests.RequestException, HTTPError, OSError)
"""Whatever a call may raise that broke: `read1` raises urllib3's own, the rest comes as requests'."""


class RefusedError(Exception):
    """An answer other than 200. Its body is for the verdict only, and in no text of this exception."""

    def __init__(self, response: Response, body: bytes) -> None:
        self.status, self.headers, self.body = response.status_code, response.headers, body
        super().__init__(f"answered {self.status}")


class UnreadableError(Exception):
    """An answer of 200 that is not what was asked for."""


class Wire(requests.Session):
    """The connections of one organization in one process; safe to be used by many threads.

    `pool_size`: connections kept per host, at least the number of threads. `ca_file` names the authorities
    to trust in the place of the usual ones. `told` is given what an answer says of the day's calls: used and
    limit.
    """

    def __init__(
        self,
        login: Origin,
        *,
        pool_size: int,
        ca_file: str | None = None,
        told: Callable[[int, int], None] = lambda _used, _limit: None,
    ) -> None:
        super().__init__()
        self._login, self._ca_file, self.told = login, ca_file, told
        self._origins: dict[str, Origin] = {}
        adapter = WatchedAdapter(pool_connections=4, pool_maxsize=pool_size)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # With no authentication of its own, requests would put a password of .netrc in the token's place.
        self.auth = _as_it_is

    def admit(self, origin: Origin) -> None:
        """Let calls go to a further origin: the instance."""
        self._origins = {**self._origins, origin.host: origin}

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> Response:
        """Make a call. Raises RefusedError for all but 200, and what requests and urllib3 raise.

        With `stream=True` the body of a 200 is left to the caller, who must close the response.
        """
        watch = on_duty()
        left = watch.deadline.remaining() if watch is not None else READ_SECONDS
        true_url, origin = self._true_url(str(url))
        streamed = bool(kwargs.pop("stream", False))
        kwargs["stream"], kwargs["allow_redirects"] = True, False
        kwargs["timeout"] = (max(0.01, min(CONNECT_SECONDS, left)), max(0.01, min(READ_SECONDS, left)))
        kwargs["headers"] = {**(kwargs.get("headers") or {}), "Accept-Encoding": "identity"}
        name = urlsplit(origin.url).hostname or ""
        # A proxy of the environment cannot reach this machine's own loopback.
        kwargs["proxies"] = {"no_proxy": name} if loopback(name) else None
        if self._ca_file is not None:
            # On the call itself: REQUESTS_CA_BUNDLE would win over the session's own.
            kwargs["verify"] = self._ca_file
        response = super().request(method, true_url, *args, **kwargs)
        usage = _USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
        if usage is not None:
            self.told(int(usage[1]), int(usage[2]))
        if response.status_code != 200:
            body = b""
            with response, contextlib.suppress(HTTPError, OSError):  # the status alone says enough
                body = read_whole(response, LONGEST_REFUSAL, cut=True)
            raise RefusedError(response, body)
        if not streamed:
            with response:
                response._content = read_whole(response, LONGEST_ANSWER)  # what `.content` returns
        return response

    def get_redirect_target(self, resp: Response) -> str | None:  # noqa: ARG002 - the library's signature
        """Know of no redirect: to learn where one leads, requests would read its body without a limit."""
        return None

    def _true_url(self, url: str) -> tuple[str, Origin]:
        split = urlsplit(url)
        origin = self._login if split.netloc == LOGIN_HOST else self._origins.get(split.netloc)
        if origin is None:
            raise RuntimeError("a call to a host that is not the organization's")
        return split._replace(scheme=origin.scheme, netloc=origin.host).geturl(), origin


def read_whole(response: Response, limit: int, *, cut: bool = False) -> bytes:
    """Read a small body as it comes; past the limit raise UnreadableError, or return what came if `cut`."""
    pieces, length = [], 0
    while piece := response.raw.read1(PIECE, decode_content=False):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            if cut:
                break
            raise UnreadableError("the answer is too long")
    return b"".join(pieces)[:limit]


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    return request

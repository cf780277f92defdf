"""Decide who may come in, before anything is read: the method, the caller's token, the operator's password.

Each resource says in `access` whom it serves: `public`, `token` (a user) or `operator`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from typing import Any

from falcon.asgi import Request, Response

from ingest.admission import Admission
from ingest.auth import Authenticator
from ingest.bodies import first_header
from ingest.errors import MethodNotAllowedError, ProblemError, UnauthenticatedError
from ingest.failed_logins import FailedLogins

OPERATOR = "operator"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_FORWARDED = frozenset(
    {
        b"forwarded",
        b"x-forwarded",
        b"x-real-ip",
        b"x-client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"via",
    }
)
_FORWARDED_PREFIX = b"x-forwarded-"


class OperatorUnknownError(ProblemError):
    """401: the operator's password is needed, by basic authentication."""

    def __init__(self) -> None:
        super().__init__(
            "unauthenticated",
            "Log in as `operator` with the password of OPERATOR_PASSWORD.",
            headers=(("WWW-Authenticate", 'Basic realm="Import API", charset="UTF-8"'),),
        )


class Access:
    """Falcon middleware, after routing and before the responder.

    `operator_password` None lets the operator's pages answer callers on this machine only, judged by the
    socket's peer. A reverse proxy on this machine is such a peer: set a password behind one. Those that say
    so in a header (`X-Forwarded-For`, `Via`, …) are refused. So is a request that does not name this machine as
    its host: a stranger's page can point a name of its own here and have the operator's browser read for it.
    """

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        operator_password: str | None,
        admission: Admission,
        failed_logins: FailedLogins,
    ) -> None:
        self._authenticator, self._password = authenticator, operator_password
        self._admission, self._failed_logins = admission, failed_logins

    async def process_resource(
        self,
        req: Request,
        resp: Response,  # noqa: ARG002 - the framework's signature
        resource: Any,
        params: dict[str, Any],  # noqa: ARG002 - the framework's signature
    ) -> None:
        """Raise MethodNotAllowedError, UnauthenticatedError, TooManyRequestsError, OperatorUnknownError or
        ProblemError (403)."""
        allowed = [method for method in _METHODS if hasattr(resource, f"on_{method.lower()}")]
        if req.method not in allowed:
            raise MethodNotAllowedError(allowed)
        try:
            await self._judge(req, resource)
        except (UnauthenticatedError, OperatorUnknownError):
            # Judged first and counted then: whoever holds a good token or the password is never locked out.
            if first_header(req, b"authorization") is not None:
                self._failed_logins.count(req.scope.get("client"))
            raise

    async def _judge(self, req: Request, resource: Any) -> None:
        if resource.access == "token":
            authorization = first_header(req, b"authorization")
            identity = self._authenticator.remembered(authorization)
            if identity is None:
                async with req.context.budget.spend():
                    identity = await self._authenticator.user(authorization)
            self._admission.enter(identity.organization_id)
            req.context.identity = identity  # from here on it is counted, until its answer is made
        elif resource.access == "operator":
            self._judge_operator(req)

    async def process_response(
        self,
        req: Request,
        resp: Response,  # noqa: ARG002 - the framework's signature
        resource: Any,  # noqa: ARG002 - the framework's signature
        req_succeeded: bool,  # noqa: ARG002 - the framework's signature
    ) -> None:
        """Count the request no longer, whatever became of it."""
        if req.context.identity is not None:
            self._admission.leave(req.context.identity.organization_id)

    def _judge_operator(self, req: Request) -> None:
        if self._password is None:
            if not _on_this_machine(req):
                raise ProblemError(
                    "forbidden", "Only this machine is served here: set OPERATOR_PASSWORD to serve others."
                )
        elif not hmac.compare_digest(_credentials(req), f"{OPERATOR}:{self._password}".encode()):
            raise OperatorUnknownError


def _credentials(req: Request) -> bytes:
    """Return `user:password` of basic authentication; empty where there is none that can be read."""
    scheme, _, encoded = (first_header(req, b"authorization") or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _on_this_machine(req: Request) -> bool:
    peer = req.scope.get("client")
    if not peer or any(_tells_of_a_proxy(name) for name, _ in req.scope["headers"]):
        return False
    host = first_header(req, b"host")
    return _is_loopback(peer[0]) and (host is None or _is_loopback(_without_port(host)))


def _tells_of_a_proxy(name: bytes) -> bool:
    return name in _FORWARDED or name.startswith(_FORWARDED_PREFIX)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback

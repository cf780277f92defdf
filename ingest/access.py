"""Decide who may come in, before anything is read: the method, the caller's token, the operator's password.

Each resource says in `access` whom it serves: `public`, `token` (a user) or `operator`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from falcon.asgi import Request, Response

from ingest.admission import Admission
from ingest.auth import Authenticator
from ingest.bodies import first_header
from ingest.errors import MethodNotAllowedError, NotFoundError, ProblemError, UnauthenticatedError
from ingest.failed_logins import FailedLogins
from ingest.operator_sessions import COOKIE, OperatorSessions

OPERATOR = b"operator"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_DASHBOARD = "/dashboard"
LOG_IN = "/dashboard/login"


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

    The operator is known by the password (basic authentication, for machines) or by the cookie of a session that a
    person began with it. Where somebody asks from plays no part: a proxy on this machine asks from here for the world.
    `sessions` None: there is no password, and `create_app` serves nothing of the operator's.
    """

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        sessions: OperatorSessions | None,
        admission: Admission,
        failed_logins: FailedLogins,
    ) -> None:
        self._authenticator, self._sessions = authenticator, sessions
        self._admission, self._failed_logins = admission, failed_logins

    async def process_resource(
        self,
        req: Request,
        resp: Response,
        resource: Any,
        params: dict[str, Any],  # noqa: ARG002 - the framework's signature
    ) -> None:
        """Raise MethodNotAllowedError, UnauthenticatedError, TooManyRequestsError or OperatorUnknownError.

        A person who asks for the dashboard is sent to the page where one logs in."""
        allowed = [method for method in _METHODS if hasattr(resource, f"on_{method.lower()}")]
        if req.method not in allowed:
            raise MethodNotAllowedError(allowed)
        try:
            await self._judge(req, resource)
        except (UnauthenticatedError, OperatorUnknownError) as unknown:
            if isinstance(unknown, OperatorUnknownError) and _is_a_person(req):
                resp.status, resp.complete = "303 See Other", True
                resp.context.own.append(("Location", LOG_IN))
                return
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
        if self._sessions is None:
            raise NotFoundError
        if any(map(self._sessions.holds, req.get_cookie_values(COOKIE) or ())):
            return
        user, _, password = _credentials(req).partition(b":")
        if not (self._sessions.is_password(password) and user == OPERATOR):
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


def _is_a_person(req: Request) -> bool:
    """Tell whether a browser asks for the page, which would show a dialog of its own for a 401."""
    return (
        req.path == _DASHBOARD
        and first_header(req, b"authorization") is None
        and "text/html" in (first_header(req, b"accept") or "")
    )

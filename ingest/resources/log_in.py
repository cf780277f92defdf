"""Let a person log in as the operator: a page with a form, and a link that was made by someone who had the password."""

from __future__ import annotations

from falcon.asgi import Request, Response

from ingest import pages, rack
from ingest.access import LOG_IN
from ingest.bodies import first_header, read_body
from ingest.failed_logins import FailedLogins
from ingest.operator_sessions import COOKIE, SESSION_SECONDS, OperatorSessions
from ingest.pages import tag

DASHBOARD = "/dashboard"
LARGEST_FORM = 4_096
_POLICY = pages.POLICY.replace("form-action 'none'", "form-action 'self'")


class LogInResource:
    """GET and POST /dashboard/login."""

    access = "public"

    def __init__(
        self, *, sessions: OperatorSessions, failed_logins: FailedLogins, body_seconds: float
    ) -> None:
        self._sessions, self._failed_logins = sessions, failed_logins
        self._body_seconds = body_seconds

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the form, or take the session that a link brings."""
        session = rack.query(req.scope["query_string"]).get("session")
        if session is None:
            self._form(resp, None)
        elif isinstance(session, str) and self._sessions.holds(session):
            self._enter(req, resp, session)
        else:
            resp.status = "403 Forbidden"
            self._form(resp, "This link is no longer good. Log in with the password.")

    on_head = on_get

    async def on_post(self, req: Request, resp: Response) -> None:
        """Begin a session for whoever sends the password. Raises TooManyRequestsError and BadRequestError."""
        body = await read_body(req, max_bytes=LARGEST_FORM, seconds=self._body_seconds)
        given = rack.form(body).get("password")
        if isinstance(given, str) and self._sessions.is_password(given.encode()):
            self._enter(req, resp, self._sessions.begin())
            return
        self._failed_logins.count(req.scope.get("client"))
        resp.status = "403 Forbidden"
        self._form(resp, "That is not the password.")

    def _enter(self, req: Request, resp: Response, session: str) -> None:
        over_tls = "https" in (req.scheme, first_header(req, b"x-forwarded-proto"))
        resp.set_cookie(
            COOKIE,
            session,
            max_age=SESSION_SECONDS,
            path="/",
            secure=over_tls,
            http_only=True,
            same_site="Strict",
        )
        resp.status = "303 See Other"
        resp.context.own.append(("Location", DASHBOARD))

    def _form(self, resp: Response, wrong: str | None) -> None:
        resp.data = pages.page(
            "Import API · log in",
            tag("header", tag("h1", "Import API")),
            tag(
                "main",
                tag("h2", "Log in as the operator"),
                tag("p", wrong, class_="bad") if wrong else "",
                tag(
                    "form",
                    # So that a browser keeps the password under the name that basic authentication uses.
                    tag("input", type="hidden", name="user", value="operator", autocomplete="username"),
                    tag("label", "Password", for_="password"),
                    tag(
                        "input",
                        id="password",
                        type="password",
                        name="password",
                        autocomplete="current-password",
                        required="required",
                        autofocus="autofocus",
                    ),
                    tag("button", "Log in", type="submit"),
                    method="post",
                    action=LOG_IN,
                ),
            ),
        )
        resp.context.own += [*pages.HEADERS, ("Content-Security-Policy", _POLICY)]

"""Speak to the web process over HTTP, as any client does.

The standard library's client, because it knows no proxy: one that is named in the environment would be
asked for 127.0.0.1 by others.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode


class DoorError(Exception):
    """The door did not answer, or not as it should; the message says how."""


@dataclass(frozen=True, slots=True)
class Door:
    """The web process on a port of this machine, and the token that opens it."""

    port: int
    token: str = field(default="", repr=False)
    session: str = field(default="", repr=False)  # of the operator

    @property
    def base_url(self) -> str:
        """Where people and programs find it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def dashboard_url(self) -> str:
        """Where a person sees pictures and queues; logged in where there is a session."""
        if self.session:
            return f"{self.base_url}/dashboard/login?session={self.session}"
        return f"{self.base_url}/dashboard"

    def logged_in(self, password: str) -> Door:
        """Return the door with a session of the operator; as it is where the web process begins none."""
        try:
            _, cookies, _ = self._answered("POST", "/dashboard/login", urlencode({"password": password}))
        except DoorError:
            return self
        found = SimpleCookie(cookies).get("operator_session")
        return self if found is None else replace(self, session=found.value)

    def is_ready(self) -> bool:
        """Tell whether `/readyz` answers 200."""
        try:
            return self._call("GET", "/readyz")[0] == 200
        except DoorError:
            return False

    def post(self, parameters: dict[str, str]) -> dict[str, Any]:
        """Ask for an import and return it as answered. Raises DoorError."""
        return self._document("POST", "/api/v1/imports", urlencode(parameters))

    def show(self, import_id: str) -> dict[str, Any]:
        """Return an import as it stands now. Raises DoorError."""
        return self._document("GET", f"/api/v1/imports/{import_id}")

    def _document(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        status, content = self._call(method, path, body)
        if status != 200:
            raise DoorError(f"{method} {path} answered {status}")
        try:
            return dict(json.loads(content))
        except ValueError:
            raise DoorError(f"{method} {path} did not answer JSON") from None

    def _call(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        status, _, content = self._answered(method, path, body)
        return status, content

    def _answered(self, method: str, path: str, body: str | None = None) -> tuple[int, str, bytes]:
        headers = {"Authorization": f'Token token="{self.token}"'} if self.token else {}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Set-Cookie", ""), answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise DoorError(f"{method} {path} was not answered ({type(error).__name__})") from None
        finally:
            connection.close()

"""Log clients in and know their sessions, which live in memory: a restart forgets them, as an expiry would.

A session lives as long as it is used: it ends so many seconds after its last call (Salesforce Help, "Modify
Session Security Settings": two hours by default, prolonged by activity).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.salesforce import soap
from sandbox.salesforce.grants import grant
from sandbox.salesforce.identities import Identities
from sandbox.salesforce.ids import made_id
from sandbox.salesforce.messages import Answer, Call, refused_login, told
from sandbox.salesforce.tables import OWNER_ID

ORGANIZATION_ID = made_id("00D", "organization")
LIFE_SECONDS = 7200.0
LOGINS_AN_HOUR = 3600  # of one user (Salesforce Help, "Login Rate Limits"); beyond it every login is refused


@dataclass(slots=True)
class Sessions:
    """Who is logged in. `clients` (id → secret) and `file` are those of `Identities`."""

    clients: dict[str, str]
    file: Path | None = None
    logins: int = 0
    life: float = LIFE_SECONDS
    logins_an_hour: int = LOGINS_AN_HOUR
    instance_url: str | None = (
        None  # where the records are, if not where one logs in: an organization that moved
    )
    monotonic: Callable[[], float] = time.monotonic
    identities: Identities = field(init=False)
    _open: dict[str, tuple[str, float]] = field(default_factory=dict)  # token → client, last use
    _tried: deque[float] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.identities = Identities(self.clients, self.file)

    def admit(self, client_id: str, **asked: Any) -> None:
        """Let a further client log in, or give one another secret and end its sessions."""
        self.identities.admit(client_id, asked)
        with self._lock:
            self._open = {token: kept for token, kept in self._open.items() if kept[0] != client_id}

    def log_in(self, call: Call, own_url: str) -> Answer:
        """Answer the token endpoint."""
        if not self._may_try():
            return refused_login(400, "invalid_grant", "login rate exceeded")
        client = grant(call, self.identities, own_url)
        if isinstance(client, Answer):
            return client
        instance_url = self.instance_url or own_url
        return told(
            {
                "access_token": self._opened(client),
                "signature": secrets.token_urlsafe(32),
                "scope": "api",
                "instance_url": instance_url,
                "id": f"{own_url}/id/{ORGANIZATION_ID}/{OWNER_ID}",
                "token_type": "Bearer",
                "issued_at": str(int(time.time() * 1000)),
            }
        )

    def log_in_by_soap(self, call: Call, own_url: str, version: int) -> Answer:
        """Answer the SOAP login."""
        user = soap.judge(call, self.identities, version)
        if isinstance(user, Answer):
            return user
        return soap.answer(self._opened(user), self.instance_url or own_url, version)

    def client_of(self, call: Call) -> str | None:
        """Return the client whose session a call carries, or None."""
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        if kind.lower() not in ("bearer", "oauth"):
            return None
        with self._lock:
            client, used_at = self._open.get(token.strip(), (None, 0.0))
            if client is None or self.monotonic() - used_at > self.life:
                self._open.pop(token.strip(), None)
                return None
            self._open[token.strip()] = (client, self.monotonic())
        return client

    def expire(self) -> None:
        """Forget every session."""
        with self._lock:
            self._open = {}

    def set(self, asked: dict[str, Any]) -> None:
        """Change how sessions live: `seconds`, `logins_an_hour`, `instance_url` (null: where one logs in)."""
        unknown = set(asked) - {"seconds", "logins_an_hour", "instance_url"}
        if unknown:
            raise ValueError(f"unknown field: {', '.join(sorted(unknown))}")
        self.life = float(asked.get("seconds", self.life))
        self.logins_an_hour = int(asked.get("logins_an_hour", self.logins_an_hour))
        self.instance_url = asked.get("instance_url", self.instance_url)

    def shown(self) -> dict[str, Any]:
        """Tell how many are logged in and for how long a session lives; no token."""
        return {
            "open": len(self._open),
            "seconds": self.life,
            "logins_an_hour": self.logins_an_hour,
            "instance_url": self.instance_url,
        }

    def _opened(self, client: str) -> str:
        token = f"{ORGANIZATION_ID}!{secrets.token_urlsafe(48)}"
        with self._lock:
            self.logins += 1
            self._open[token] = (client, self.monotonic())
        return token

    def _may_try(self) -> bool:
        now = self.monotonic()
        with self._lock:
            while self._tried and self._tried[0] <= now - 3600:
                self._tried.popleft()
            self._tried.append(now)
            return len(self._tried) <= self.logins_an_hour

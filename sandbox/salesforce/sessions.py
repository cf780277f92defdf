"""Log clients in and know their sessions, which live in memory: a restart forgets them, as an expiry would."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.salesforce.ids import made_id
from sandbox.salesforce.messages import Answer, Call, refused_login, told
from sandbox.salesforce.tables import OWNER_ID


@dataclass(slots=True)
class Sessions:
    """The clients that may log in (by id, with their secret) and who is logged in."""

    clients: dict[str, str]
    file: Path | None = None  # where clients that a test adds are kept over a restart
    logins: int = 0
    _open: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.file is not None and self.file.exists():
            self.clients = {**json.loads(self.file.read_text()), **self.clients}

    def admit(self, client_id: str, secret: str) -> None:
        """Let a further client log in, or give one another secret and end its sessions."""
        with self._lock:
            self.clients[client_id] = secret
            self._open = {token: owner for token, owner in self._open.items() if owner != client_id}
            if self.file is not None:
                self.file.touch(0o600)
                self.file.write_text(json.dumps(self.clients))

    def log_in(self, call: Call, instance_url: str) -> Answer:
        """Answer the token endpoint: client credentials, by Basic authentication or in the form."""
        form = call.form()
        client_id, secret = _basic(call) or (form.get("client_id", ""), form.get("client_secret", ""))
        if form.get("grant_type") != "client_credentials":
            return refused_login(400, "unsupported_grant_type", "grant type not supported")
        if client_id not in self.clients:
            return refused_login(400, "invalid_client_id", "client identifier invalid")
        if not hmac.compare_digest(self.clients[client_id].encode(), secret.encode()):
            return refused_login(401 if _basic(call) else 400, "invalid_client", "invalid client credentials")
        token = f"{made_id('00D', 'organization')}!{secrets.token_urlsafe(48)}"
        with self._lock:
            self.logins += 1
            self._open[token] = client_id
        return told(
            {
                "access_token": token,
                "signature": secrets.token_urlsafe(32),
                "scope": "api",
                "instance_url": instance_url,
                "id": f"{instance_url}/id/{made_id('00D', 'organization')}/{OWNER_ID}",
                "token_type": "Bearer",
                "issued_at": str(int(time.time() * 1000)),
            }
        )

    def client_of(self, call: Call) -> str | None:
        """Return the client whose session a call carries, or None."""
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        return self._open.get(token.strip()) if kind.lower() in ("bearer", "oauth") else None

    def expire(self) -> None:
        """Forget every session."""
        with self._lock:
            self._open = {}


def _basic(call: Call) -> tuple[str, str] | None:
    kind, _, text = call.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(text).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ("", "")
    return (client_id, secret)

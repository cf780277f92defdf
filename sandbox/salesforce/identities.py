"""Keep who may log in: clients with their secrets and keys, users with their passwords, refresh tokens."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USERNAME = "integration@sandbox.example"


@dataclass(slots=True)
class Identities:
    """What the organization's set-up pages would show; kept in a file over a restart where one is given."""

    clients: dict[str, str]  # client id → secret
    file: Path | None = None
    keys: dict[str, str] = field(default_factory=dict)  # client id → public key, in PEM
    users: dict[str, dict[str, str]] = field(default_factory=dict)  # name → password, security_token
    refresh_tokens: dict[str, str] = field(default_factory=dict)  # token → client id
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.file is None or not self.file.exists():
            return
        kept = json.loads(self.file.read_text())
        kept = kept if "clients" in kept else {"clients": kept}  # files of before there were more kinds
        self.clients = {**kept["clients"], **self.clients}
        self.keys, self.users = kept.get("keys", {}), kept.get("users", {})
        self.refresh_tokens = kept.get("refresh_tokens", {})

    def admit(self, client_id: str, asked: dict[str, Any]) -> None:
        """Let a client log in, or change how: `client_secret`, `public_key` (PEM), `refresh_token`."""
        with self._lock:
            if "client_secret" in asked:
                self.clients[client_id] = str(asked["client_secret"])
            if "public_key" in asked:
                self.keys[client_id] = str(asked["public_key"])
                self.clients.setdefault(client_id, "")
            if "refresh_token" in asked:
                self.refresh_tokens[str(asked["refresh_token"])] = client_id
            self._keep()

    def add_user(self, name: str, *, password: str, security_token: str = "") -> None:
        """Let a user log in by password, or give it another."""
        with self._lock:
            self.users[name] = {"password": password, "security_token": security_token}
            self._keep()

    def _keep(self) -> None:
        if self.file is not None:
            self.file.touch(0o600)
            kept = {name: getattr(self, name) for name in ("clients", "keys", "users", "refresh_tokens")}
            self.file.write_text(json.dumps(kept))

"""A simulated Salesforce on a real socket, and an organization of ours that is set up for it."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from cryptography.fernet import Fernet

from sandbox.salesforce.api import Api
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.server import Server
from sandbox.salesforce.sessions import Sessions as Clients
from sandbox.salesforce.tables import Attachments
from workers.credentials import Credentials
from workers.deadlines import Deadline
from workers.sources import Received, Record, Sources
from workers.sources.salesforce.grants import Account
from workers.sources.salesforce.org import SalesforceOrg
from workers.sources.salesforce.origins import Origin

SECRET = "planted-client-secret-of-the-organization"
KEY = Fernet.generate_key().decode()
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400


def document(url: str, *, secret: str = SECRET, version: int = 1, **source: Any) -> dict[str, Any]:
    """Return an organization as MongoDB keeps it."""
    return {
        "_id": "3f2c8f0e-8a51-4f0a-9a53-0d6f0c6a7f11",
        "name": "Acme",
        "source": {
            "type": "salesforce",
            "login_url": url,
            "instance_url": None,
            "grant": "client_credentials",
            "client_id": "sandbox",
            "secret": Credentials([KEY]).encrypt(secret),
            "api_version": None,
            **source,
        },
        "credential_version": version,
    }


def in_time(seconds: float = 10.0, stopping: threading.Event | None = None) -> Deadline:
    """Return a deadline, by itself never stopping."""
    return Deadline(seconds, stopping=stopping or threading.Event())


def organization_at(
    url: str, *, secret: str = SECRET, monotonic: Callable[[], float] = time.monotonic
) -> SalesforceOrg:
    """Return a source that logs in at a URL, with a clock of the test's choosing."""
    origin = Origin.of(url)
    account = Account(
        login=origin,
        instance=origin,
        grant="client_credentials",
        client_id="sandbox",
        secrets={"client_secret": secret},
    )
    return SalesforceOrg(account=account, api_version="65.0", monotonic=monotonic)


class World:
    """One running simulation and our view of it."""

    def __init__(self, folder: Path) -> None:
        self.attachments = Attachments(folder)
        clients = Clients({"sandbox": SECRET})
        self.server = Server(0, Api(clients, self.attachments), Faults())
        self.url = self.server.url
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.sources = Sources(credentials=Credentials([KEY]), api_version="65.0")
        self.source = self.sources.of(document(self.url))

    def add(self, content: bytes = PICTURE, name: str = "a.png", **fields: Any) -> str:
        """Keep an attachment and return its id."""
        encoded = base64.b64encode(content).decode()
        order = {"name": name, "content_base64": encoded, "fields": fields}
        return str(self.control("POST", "attachments", order)["id"])

    def keep(self, kind: str, content: bytes | None = None, **fields: Any) -> str:
        """Keep a record of another kind and return its id."""
        order: dict[str, Any] = {"type": kind, "fields": fields}
        if content is not None:
            order["content_base64"] = base64.b64encode(content).decode()
        return str(self.control("POST", "records", order)["id"])

    def spoil(self, kind: str, **fault: Any) -> None:
        """Put a fault in force."""
        told = self.control("POST", "faults", {"kind": kind, **fault})
        assert "fault" in told, told

    def heal(self) -> None:
        """Lift every fault."""
        self.control("DELETE", "faults")

    def control(self, method: str, noun: str, order: Any = None) -> Any:
        """Give an order to the simulation."""
        return requests.request(method, f"{self.url}/_control/{noun}", json=order, timeout=5).json()

    @property
    def logins(self) -> int:
        """How many logins were granted."""
        return int(self.server.api.sessions.logins)

    @property
    def asked_to_log_in(self) -> int:
        """How many logins were tried."""
        return int(self.server.api.calls["login"])

    def fetch(
        self, record_id: str, *, seconds: float = 10.0, max_bytes: int = 1 << 24
    ) -> tuple[Record, bytes]:
        """Describe and stream a record; return the row and the bytes."""
        record, _, content = self.visit(record_id, seconds=seconds, max_bytes=max_bytes)
        return record, content

    def visit(self, record_id: str, *, seconds: float, max_bytes: int) -> tuple[Record, Received, bytes]:
        """Do the same and return what was counted too."""
        sink = io.BytesIO()
        visit = self.source.visit(record_id, deadline=in_time(seconds))
        record = visit.describe()
        received = visit.stream(record, sink, max_bytes=max_bytes)
        return record, received, sink.getvalue()

    def close(self) -> None:
        """Stop everything."""
        self.sources.close()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

"""Keep organizations: where their attachments are, how to log in there, and whether it serves now.

Shape: `_id, name, disabled_at, created_at, source {type, login_url, instance_url, grant, client_id, username,
secret, secrets, api_version}, credential_version, gate`. `secret` (the client's) and each of `secrets` is Fernet
text, never the credential itself. `thumbnails` (text) is its own recipe, where it has one.

The gate is what all workers know of an organization's Salesforce. None is open. Closed it is
`{since, waiting_for, code, detail, probe_at, wait, expected_at}`: imports wait until `probe_at`, then one of
them is let through; `wait` is the pause after the next failure, in seconds, and `expected_at` when the cause
should be gone, where anybody can know.
"""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from common.documents.database import Document

REMEMBERED = 1_000  # organizations that a process remembers


class Organizations:
    """Every query on organizations. `remember` is for how many seconds `find` may return what it read before.

    A worker asks for the same few with each job. What this process itself changes it forgets at once.
    """

    def __init__(self, db: Database[Document], *, remember: float = 0.0) -> None:
        self._organizations, self._remember = db.organizations, remember
        self._remembered: dict[str, tuple[float, Document | None]] = {}

    def add(self, organization_id: str, *, name: str, source: Document, now: datetime) -> Document:
        """Add an organization. Raises ValueError where the id is taken."""
        organization = {
            "_id": organization_id,
            "name": name,
            "disabled_at": None,
            "created_at": now,
            "source": source,
            "credential_version": 1,
            "gate": None,
        }
        try:
            self._organizations.insert_one(organization)
        except DuplicateKeyError:
            raise ValueError(f"Organization {organization_id} is there already; use `update`.") from None
        return organization

    def find(self, organization_id: str) -> Document | None:
        """Return one organization, disabled or not."""
        if not self._remember:
            return self._organizations.find_one({"_id": organization_id})
        now = time.monotonic()
        read_at, organization = self._remembered.get(organization_id, (-math.inf, None))
        if now - read_at > self._remember:
            organization = self._organizations.find_one({"_id": organization_id})
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[organization_id] = now, organization
        return organization

    def list(self) -> list[Document]:
        """Return all, oldest first."""
        return sorted(self._organizations.find(), key=lambda organization: organization["created_at"])

    def update(self, organization_id: str, *, source: Document, name: str | None = None) -> bool:
        """Change where and how an organization is read, and open its gate: what was wrong may be mended.

        `source` holds only the fields that change. Returns False where there is no such organization.
        """
        changes = {f"source.{field}": value for field, value in source.items()}
        if name is not None:
            changes["name"] = name
        change = {"$set": {**changes, "gate": None}, "$inc": {"credential_version": 1}}
        return self._organizations.update_one({"_id": organization_id}, change).matched_count == 1

    def reencrypted(self, seen: Document, source: Document) -> bool:
        """Replace the encrypted form of credentials, which stay the same. False where they changed meanwhile."""
        unchanged = {"_id": seen["_id"], "credential_version": seen["credential_version"]}
        change = {"$set": {f"source.{field}": value for field, value in source.items()}}
        return self._organizations.update_one(unchanged, change).matched_count == 1

    def render_by(self, organization_id: str, thumbnails: str | None) -> bool:
        """Give an organization a recipe of its own (checked by the caller), or None for that of the settings."""
        change = {"$set": {"thumbnails": thumbnails}}
        return self._organizations.update_one({"_id": organization_id}, change).matched_count == 1

    def disable(self, organization_id: str, *, now: datetime) -> bool:
        """Refuse the tokens of its users and let its imports wait. False where there is none such."""
        change = {"$set": {"disabled_at": now}}
        return self._organizations.update_one({"_id": organization_id}, change).matched_count == 1

    def enable(self, organization_id: str) -> bool:
        """Accept its users again and let its imports go on. False where there is none such."""
        change = {"$set": {"disabled_at": None}}
        return self._organizations.update_one({"_id": organization_id}, change).matched_count == 1

    def take_probe(self, seen: Document, *, now: datetime) -> bool:
        """Win the right to try a closed gate; the next one may try after the gate's own pause.

        The pause begins with the probe, so that a probe whose worker dies delays nobody for long.
        """
        pause = timedelta(seconds=min(seen["gate"]["wait"], 15.0))
        self._remembered.pop(seen["_id"], None)
        won = self._organizations.update_one(
            {"_id": seen["_id"], "gate.probe_at": seen["gate"]["probe_at"]},
            {"$set": {"gate.probe_at": now + pause}},
        )
        return won.matched_count == 1

    def close_gate(  # noqa: PLR0913 - all of it by keyword
        self,
        organization_id: str,
        *,
        now: datetime,
        waiting_for: str,
        code: str,
        detail: str,
        first: float,
        cap: float,
        probe: bool = True,
        expected_at: datetime | None = None,
    ) -> bool:
        """Close the gate, or keep it closed for longer after a failed probe. True where it was open.

        A failure for the same reason doubles the pause up to `cap`; another reason begins anew. What failed
        for the same reason and was no `probe`, having begun while the gate was open, changes nothing.
        """
        seen = self._organizations.find_one({"_id": organization_id})
        if seen is None:
            return False
        gate = seen["gate"]
        again = gate is not None and gate["waiting_for"] == waiting_for
        if again and not probe:
            return False
        wait = min(cap, gate["wait"]) if again else first
        closed = {
            "since": gate["since"] if gate is not None else now,
            "waiting_for": waiting_for,
            "code": code,
            "detail": detail,
            "probe_at": now + timedelta(seconds=wait),
            "wait": min(cap, wait * 2),
            "expected_at": expected_at,
        }
        # Many fail at once when an outage begins: one of them writes, the others find it done.
        before = {"gate": None} if gate is None else {"gate.probe_at": gate["probe_at"]}
        written = self._organizations.update_one(
            {"_id": organization_id, **before}, {"$set": {"gate": closed}}
        )
        self._remembered.pop(organization_id, None)
        return written.matched_count == 1 and gate is None

    def open_gate(self, organization_id: str) -> None:
        """Let everything through again."""
        self._organizations.update_one({"_id": organization_id}, {"$set": {"gate": None}})
        self._remembered.pop(organization_id, None)

"""Make the sample organization, its user and a token, through the operator's own command.

Ids are chosen here and written down before they are used, so that a start that was cut short goes on where
it ended, and a store that was emptied meanwhile gets the same organization again.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.endings import Refused
from sandbox.errand import Errands
from sandbox.folder import Folder
from sandbox.organization import Salesforce

NAME = "Sandbox"
TOKEN_SECONDS = 86_400  # a day: the `curl` that is shown is pasted when it suits the person


@dataclass(frozen=True, slots=True)
class Seeded:
    """Who may import: the ids, and the token that stands for the user."""

    organization_id: str
    user_id: str
    token: str = field(repr=False)


def seed(
    folder: Folder,
    errands: Errands,
    salesforce: Salesforce,
    *,
    operator: list[str],
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> Seeded:
    """Make what is missing and return it with a fresh token. Raises Refused when a command fails."""
    if "organization_id" not in folder.facts:
        folder.keep(organization_id=new_id(), user_id=new_id())
    organization_id, user_id = folder.facts["organization_id"], folder.facts["user_id"]

    def imports(*words: str, told: str = "") -> Any:
        return _answer(errands, [*operator, *words, "--json"], told)

    existing = {entry["id"] for entry in imports("organization", "list")}
    connection = (
        "--salesforce-url",
        salesforce.url,
        "--client-id",
        salesforce.client_id,
        "--client-secret-file",
        "-",
    )
    if organization_id not in existing:
        folder.keep(user_added=False)
        imports(
            "organization", "add", NAME, "--id", organization_id, *connection, told=salesforce.client_secret
        )
    elif folder.facts.get("told_salesforce") != _told(salesforce):
        imports("organization", "update", organization_id, *connection, told=salesforce.client_secret)
    folder.keep(told_salesforce=_told(salesforce))
    if not folder.facts.get("user_added"):
        imports("user", "add", organization_id, "--id", user_id)  # the same one again changes nothing
        folder.keep(user_added=True)
    token = imports("token", user_id, "--lifetime", str(TOKEN_SECONDS))["token"]
    return Seeded(organization_id, user_id, token)


def _told(salesforce: Salesforce) -> str:
    """Digest what the organization was told, so that a changed secret is noticed and none is kept here."""
    return hashlib.sha256(
        "\n".join([salesforce.url, salesforce.client_id, salesforce.client_secret]).encode()
    ).hexdigest()


def _answer(errands: Errands, words: list[str], told: str) -> Any:
    name = " ".join(words[:3])
    code, text = errands.run(words, name="imports", told=told)
    try:
        answer = json.loads(text) if code == 0 else None
    except ValueError:
        answer = None
    if answer is None:
        raise Refused(f"`{name}` failed with exit code {code}; what it said stands above.", code=1)
    return answer

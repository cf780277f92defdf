"""Name the ways of logging in that Salesforce offers, and what each needs. How it is done: `logging_in.py`.

client_credentials   an app's id and secret; the simplest, and what the guide recommends
jwt_bearer           an app's id, a user and a private key; no secret leaves this machine
refresh_token        an app's id and secret, and what a person's consent once brought
password             an app's id and secret, a user and its password
soap                 a user and its password: legacy, gone from API 65 on, so pinned to at most 64
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.failures import Throttled
from workers.sources.salesforce.origins import Origin

CREDENTIALS_SECONDS = 60.0
LAST_SOAP_VERSION = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where and as whom to log in. Shows none of it.

    `secrets` holds, by name, what the grant needs: client_secret, private_key, refresh_token, password,
    security_token.
    """

    login: Origin = field(repr=False)
    instance: Origin | None = field(repr=False)  # None: the login's answer names it
    grant: str
    client_id: str = field(default="", repr=False)
    username: str = field(default="", repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """What one way of logging in needs, and what else it can use: fields of the account, names of its secrets."""

    needs: tuple[str, ...]
    may_have: tuple[str, ...] = ()


GRANTS: dict[str, Grant] = {
    "client_credentials": Grant(("client_id", "client_secret")),
    "jwt_bearer": Grant(("client_id", "username", "private_key")),
    "refresh_token": Grant(("client_id", "refresh_token"), ("client_secret",)),
    "password": Grant(("client_id", "client_secret", "username", "password"), ("security_token",)),
    "soap": Grant(("username", "password"), ("security_token",)),
}
SECRETS = ("client_secret", "private_key", "refresh_token", "password", "security_token")
"""What is kept encrypted, whatever the grant."""


def unusable(detail: str) -> Throttled:
    """Return what a login by these credentials comes to: until a person has mended them its imports wait."""
    return Throttled(
        "salesforce_credentials",
        detail,
        waiting_for="salesforce_credentials",
        probe_after=CREDENTIALS_SECONDS,
        probe_cap=CREDENTIALS_SECONDS,
    )


def unknown_grant() -> Throttled:
    """Return what a login in a way that is none comes to."""
    return unusable(f"The organization names a way of logging in that is not known: use {', '.join(GRANTS)}.")

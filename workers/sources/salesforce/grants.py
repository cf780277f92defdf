"""Log in in each of the ways that Salesforce offers, by simple-salesforce: a grant a function.

client_credentials   an app's id and secret; the simplest, and what the guide recommends
jwt_bearer           an app's id, a user and a private key; no secret leaves this machine
refresh_token        an app's id and secret, and what a person's consent once brought
password             an app's id and secret, a user and its password
soap                 a user and its password: legacy, gone from API 65 on, so pinned to at most 64
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from simple_salesforce.login import SalesforceLogin, token_login

from workers.sources.salesforce.origins import Origin
from workers.sources.salesforce.wire import LOGIN_DOMAIN, LOGIN_HOST, Wire

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
    """One way of logging in: what it needs, and how it is done. `log_in` returns token and host."""

    needs: tuple[str, ...]  # fields of the account and names of its secrets
    log_in: Callable[[Wire, Account], tuple[Any, Any]]
    may_have: tuple[str, ...] = ()


def _client_credentials(wire: Wire, account: Account) -> tuple[Any, Any]:
    return SalesforceLogin(
        session=wire,
        domain=LOGIN_DOMAIN,
        consumer_key=account.client_id,
        consumer_secret=account.secrets["client_secret"],
    )


def _jwt_bearer(wire: Wire, account: Account) -> tuple[Any, Any]:
    """`domain` makes the audience: the shared login host, whatever host the organization has of its own."""
    host = account.login.host
    return SalesforceLogin(
        session=wire,
        domain="test" if host == "test.salesforce.com" or ".sandbox." in host else "login",
        instance_url=LOGIN_DOMAIN,
        username=account.username,
        consumer_key=account.client_id,
        privatekey=account.secrets["private_key"],
    )


def _refresh_token(wire: Wire, account: Account) -> tuple[Any, Any]:
    form = {
        "grant_type": "refresh_token",
        "client_id": account.client_id,
        "refresh_token": account.secrets["refresh_token"],
    }
    if account.secrets.get("client_secret"):
        form["client_secret"] = account.secrets["client_secret"]
    url = f"https://{LOGIN_HOST}/services/oauth2/token"
    return token_login(url, form, LOGIN_DOMAIN, account.client_id, None, None, wire)


def _password(wire: Wire, account: Account) -> tuple[Any, Any]:
    return SalesforceLogin(
        session=wire,
        domain=LOGIN_DOMAIN,
        username=account.username,
        password=account.secrets["password"] + account.secrets.get("security_token", ""),
        consumer_key=account.client_id,
        consumer_secret=account.secrets["client_secret"],
    )


def _soap(wire: Wire, account: Account) -> tuple[Any, Any]:
    """The library escapes the password for XML and forgets the token."""
    return SalesforceLogin(
        session=wire,
        domain=LOGIN_DOMAIN,
        sf_version=f"{LAST_SOAP_VERSION}.0",
        username=account.username,
        password=account.secrets["password"],
        security_token=escape(account.secrets.get("security_token", "")),
    )


GRANTS: dict[str, Grant] = {
    "client_credentials": Grant(("client_id", "client_secret"), _client_credentials),
    "jwt_bearer": Grant(("client_id", "username", "private_key"), _jwt_bearer),
    "refresh_token": Grant(("client_id", "refresh_token"), _refresh_token, ("client_secret",)),
    "password": Grant(("client_id", "client_secret", "username", "password"), _password, ("security_token",)),
    "soap": Grant(("username", "password"), _soap, ("security_token",)),
}
SECRETS = ("client_secret", "private_key", "refresh_token", "password", "security_token")
"""What is kept encrypted, whatever the grant."""

"""Log in in each of the ways of `grants.py`, by simple-salesforce: a grant a function.

Each returns the session's token and its host, and raises whatever that library makes of a bad answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from simple_salesforce.login import SalesforceLogin, token_login

from workers.sources.salesforce.grants import LAST_SOAP_VERSION, Account
from workers.sources.salesforce.wire import LOGIN_DOMAIN, LOGIN_HOST, Wire


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


LOG_IN: dict[str, Callable[[Wire, Account], tuple[Any, Any]]] = {
    "client_credentials": _client_credentials,
    "jwt_bearer": _jwt_bearer,
    "refresh_token": _refresh_token,
    "password": _password,
    "soap": _soap,
}

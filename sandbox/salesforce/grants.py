"""Judge the ways of logging in, each as the vendor's help describes it, and refuse in its words.

Salesforce Help, "OAuth Authorization Flows": Client Credentials, JWT Bearer, Refresh Token, Username-Password;
its errors are listed under "OAuth 2.0 Authorization Errors" (`remoteaccess_oauth_flow_errors`). Each
function returns the client's id, or the answer that refuses.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable

import jwt

from sandbox.salesforce.identities import Identities
from sandbox.salesforce.messages import Answer, Call, refused_login

AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
Form = dict[str, str]


def grant(call: Call, identities: Identities, own_url: str) -> str | Answer:
    """Judge a call of the token endpoint: the client that has logged in, or a refusal."""
    form = call.form()
    judge = GRANTS.get(form.get("grant_type", ""))
    if judge is None:
        return refused_login(400, "unsupported_grant_type", "grant type not supported")
    return judge(call, form, identities, own_url)


def _client(call: Call, form: Form, identities: Identities) -> str | Answer:
    """Judge a client's id and secret, by Basic authentication or in the form."""
    client_id, secret = _basic(call) or (form.get("client_id", ""), form.get("client_secret", ""))
    if client_id not in identities.clients:
        return refused_login(400, "invalid_client_id", "client identifier invalid")
    if not hmac.compare_digest(identities.clients[client_id].encode(), secret.encode()):
        return refused_login(401 if _basic(call) else 400, "invalid_client", "invalid client credentials")
    return client_id


def _client_credentials(call: Call, form: Form, identities: Identities, _own: str) -> str | Answer:
    return _client(call, form, identities)


def _password(call: Call, form: Form, identities: Identities, _own: str) -> str | Answer:
    """The security token is glued to the password; the vendor tells no reason apart."""
    client = _client(call, form, identities)
    if isinstance(client, Answer):
        return client
    user = identities.users.get(form.get("username", ""))
    given = form.get("password", "").encode()
    if user is None or not hmac.compare_digest((user["password"] + user["security_token"]).encode(), given):
        return refused_login(400, "invalid_grant", "authentication failure")
    return client


def _refresh(call: Call, form: Form, identities: Identities, _own: str) -> str | Answer:
    client = _client(call, form, identities)
    if isinstance(client, Answer):
        return client
    if identities.refresh_tokens.get(form.get("refresh_token", "")) != client:
        return refused_login(400, "invalid_grant", "expired access/refresh token")
    return client


def _assertion(_call: Call, form: Form, identities: Identities, own_url: str) -> str | Answer:
    """RS256, at most a few minutes old, for the login host or the organization's own (JWT Bearer Flow)."""
    text = form.get("assertion", "")
    try:
        claims = jwt.decode(text, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return refused_login(400, "invalid_grant", "invalid assertion")
    client_id = str(claims.get("iss"))
    if client_id not in identities.clients:
        return refused_login(400, "invalid_client_id", "client identifier invalid")
    refusal = _signature(text, identities.keys.get(client_id, ""), own_url)
    if refusal is not None:
        return refused_login(400, "invalid_grant", refusal)
    if claims.get("sub") not in identities.users:
        return refused_login(400, "invalid_grant", "user hasn't approved this consumer")
    return client_id


def _signature(text: str, key: str, own_url: str) -> str | None:
    """Say what is wrong with an assertion's signature, audience or age; None: nothing."""
    try:
        jwt.decode(text, key, algorithms=["RS256"], audience=[*AUDIENCES, own_url], leeway=180)
    except jwt.InvalidAudienceError:
        return "audience is invalid"
    except jwt.ExpiredSignatureError:
        return "expired authorization code"
    except (jwt.InvalidTokenError, ValueError, TypeError):
        return "invalid assertion"
    return None


GRANTS: dict[str, Callable[[Call, Form, Identities, str], str | Answer]] = {
    "client_credentials": _client_credentials,
    "password": _password,
    "refresh_token": _refresh,
    "urn:ietf:params:oauth:grant-type:jwt-bearer": _assertion,
}


def _basic(call: Call) -> tuple[str, str] | None:
    kind, _, text = call.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(text).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ("", "")
    return (client_id, secret)

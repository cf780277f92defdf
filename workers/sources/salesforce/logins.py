"""Log in by simple-salesforce, a grant a function, and say what each refusal of a login means.

A login that fails says nothing about a record, so every failure here is the organization's: its imports
wait. The library reports all of them as one exception, so the answers are judged before it sees them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simple_salesforce.exceptions import SalesforceError
from simple_salesforce.login import SalesforceLogin

from workers.failures import Throttled
from workers.sources.salesforce.answers import Refusal, refusal
from workers.sources.salesforce.origins import Origin, OriginError
from workers.sources.salesforce.sessions import LoginRefusedError, Session
from workers.sources.salesforce.verdicts import of_refusal, unavailable
from workers.sources.salesforce.wire import LOGIN_DOMAIN, RefusedError, Wire

CREDENTIALS_SECONDS, LIMIT_SECONDS = 60.0, 3600.0
PASSING = frozenset({"SERVER_ERROR", "TEMPORARILY_UNAVAILABLE", "UNKNOWN_ERROR", "UNKNOWN_EXCEPTION"})
"""Error codes of the token endpoint that time mends; every other one needs a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where and as whom to log in. Shows none of it."""

    login: Origin = field(repr=False)
    instance: Origin | None = field(repr=False)  # None: the login's answer names it
    grant: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)


def log_in(wire: Wire, account: Account, *, now: Callable[[], datetime]) -> Session:
    """Make one login. Raises LoginRefusedError for what a person or an hour must mend, else Throttled."""
    grant = GRANTS.get(account.grant)
    if grant is None:
        raise LoginRefusedError(_unknown_grant, CREDENTIALS_SECONDS)
    try:
        token, host = grant(wire, account)
    except RefusedError as answer:
        raise _refused(refusal(answer.status, answer.headers, answer.body, now=now())) from None
    except (SalesforceError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        # What the library raises of an answer of 200 that is no login: an HTML page, a list, no host in it.
        raise unavailable("Salesforce answered the login with something that cannot be read.") from None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
        raise unavailable("Salesforce answered the login without a token.")
    instance = account.instance or _instance(account.login, str(host))
    wire.admit(instance)
    return Session(token, instance)


def _client_credentials(wire: Wire, account: Account) -> tuple[Any, Any]:
    return SalesforceLogin(
        session=wire,
        domain=LOGIN_DOMAIN,
        consumer_key=account.client_id,
        consumer_secret=account.client_secret,
    )


GRANTS: dict[str, Callable[[Wire, Account], tuple[Any, Any]]] = {"client_credentials": _client_credentials}


def _instance(login: Origin, host: str) -> Origin:
    try:
        return Origin.of(f"{login.scheme}://{host.partition('/')[0]}")
    except OriginError:
        raise unavailable("Salesforce answered the login with a host that cannot be used.") from None


def _refused(told: Refusal) -> Exception:
    if "rate exceeded" in told.says or told.code == "LOGIN_RATE_EXCEEDED":
        return LoginRefusedError(_too_many_logins, LIMIT_SECONDS)
    verdict = of_refusal(told)
    if isinstance(verdict, Throttled):  # the day's calls are used up: logins are refused like the rest
        return verdict
    if told.status in (400, 401, 403) and told.code and told.code not in PASSING:
        return LoginRefusedError(_wrong_credentials, CREDENTIALS_SECONDS)
    return unavailable(f"Salesforce could not serve the login (status {told.status}).", told.retry_after)


def _wrong_credentials() -> Throttled:
    return _credentials(
        "Salesforce refuses the login: check client id and secret, that the app allows the grant and that its"
        " user is active, then give them anew with `imports organization update`."
    )


def _unknown_grant() -> Throttled:
    return _credentials(
        "The organization names a way of logging in that is not known: use client_credentials."
    )


def _credentials(detail: str) -> Throttled:
    return Throttled(
        "salesforce_credentials",
        detail,
        waiting_for="salesforce_credentials",
        probe_after=CREDENTIALS_SECONDS,
        probe_cap=CREDENTIALS_SECONDS,
    )


def _too_many_logins() -> Throttled:
    return Throttled(
        "salesforce_login_limit",
        "Salesforce has counted too many logins of this user; the next one is made in an hour.",
        waiting_for="salesforce_login_limit",
        probe_after=LIMIT_SECONDS,
        probe_cap=LIMIT_SECONDS,
    )

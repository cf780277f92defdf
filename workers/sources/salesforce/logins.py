"""Make a login in the way an account asks for, and say what each refusal of it means.

A login that fails says nothing about a record, so every failure here is the organization's: its imports
wait. The library reports all of them as one exception, so the answers are judged before it sees them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from jwt.exceptions import InvalidKeyError
from simple_salesforce.exceptions import SalesforceError

from workers.failures import Throttled
from workers.sources.salesforce.answers import Refusal, refusal
from workers.sources.salesforce.grants import CREDENTIALS_SECONDS, Account, unknown_grant, unusable
from workers.sources.salesforce.logging_in import LOG_IN
from workers.sources.salesforce.origins import SHARED_LOGIN_HOSTS, Origin, OriginError, may_follow
from workers.sources.salesforce.sessions import LoginRefusedError, Session
from workers.sources.salesforce.verdicts import of_refusal, unavailable
from workers.sources.salesforce.wire import RefusedError, Wire

LIMIT_SECONDS = 3600.0
PASSING = frozenset(
    {"SERVER_ERROR", "TEMPORARILY_UNAVAILABLE", "UNKNOWN_ERROR", "UNKNOWN_EXCEPTION", "SERVER_UNAVAILABLE"}
)
"""Error codes of the token endpoint that time mends; every other one needs a person."""


def log_in(wire: Wire, account: Account, *, now: Callable[[], datetime]) -> Session:
    """Make one login. Raises LoginRefusedError for what a person or an hour must mend, else Throttled."""
    if account.grant not in LOG_IN:
        raise LoginRefusedError(unknown_grant, CREDENTIALS_SECONDS)
    try:
        token, host = LOG_IN[account.grant](wire, account)
    except InvalidKeyError:
        raise LoginRefusedError(_unreadable_key, CREDENTIALS_SECONDS) from None
    except RefusedError as answer:
        raise _refused(refusal(answer.status, answer.headers, answer.body, now=now())) from None
    except (SalesforceError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        # What the library raises of an answer of 200 that is no login: an HTML page, a list, no host in it.
        raise unavailable("Salesforce answered the login with something that cannot be read.") from None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
        raise unavailable("Salesforce answered the login without a token.")
    instance = account.instance or instance_of(account.login, str(host))
    wire.admit(instance)
    return Session(token, instance)


def instance_of(login: Origin, host: str) -> Origin:
    """Return the instance that a login's answer names, where a token may follow it; else where one logged in.

    Raises Throttled where that would be a host at which everybody logs in.
    """
    try:
        named = Origin.of(f"{login.scheme}://{host.partition('/')[0]}")
    except OriginError:
        named = login
    if named != login and not may_follow(login, named):
        named = login
    if named.host in SHARED_LOGIN_HOSTS:
        raise unavailable("Salesforce answered the login with a host that holds no records.")
    return named


def _refused(told: Refusal) -> Exception:
    if "rate exceeded" in told.says or told.code in ("LOGIN_RATE_EXCEEDED", "RATE_LIMIT_EXCEEDED"):
        return LoginRefusedError(_too_many_logins, LIMIT_SECONDS)
    verdict = of_refusal(told)
    if isinstance(verdict, Throttled):  # the day's calls are used up: logins are refused like the rest
        return verdict
    # A SOAP fault comes with status 500, whatever it is about.
    refused = told.status in (400, 401, 403) or told.fault
    if refused and told.code and told.code not in PASSING:
        return LoginRefusedError(_wrong_credentials, CREDENTIALS_SECONDS)
    return unavailable(f"Salesforce could not serve the login (status {told.status}).", told.retry_after)


def _wrong_credentials() -> Throttled:
    return unusable(
        "Salesforce refuses the login: check the credentials, that the app allows this way of logging in and that"
        " its user is active, then give them anew with `imports organization update`."
    )


def _unreadable_key() -> Throttled:
    return unusable(
        "The private key of the organization is no RSA key in PEM: give it anew with"
        " `imports organization update ID --jwt-key FILE`."
    )


def _too_many_logins() -> Throttled:
    return Throttled(
        "salesforce_login_limit",
        "Salesforce has counted too many logins of this user; the next one is made in an hour.",
        waiting_for="salesforce_login_limit",
        probe_after=LIMIT_SECONDS,
        probe_cap=LIMIT_SECONDS,
    )

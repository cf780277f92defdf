"""Make an organization's source of its document, refusing what must not be spoken to or logged in with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workers.credentials import Credentials, CredentialsError
from workers.failures import Throttled
from workers.sources.salesforce.logins import Account
from workers.sources.salesforce.org import SalesforceOrg
from workers.sources.salesforce.origins import SHARED_LOGIN_HOSTS, Origin, OriginError

_VERSION = re.compile(r"[1-9]\d{1,2}\.0", re.ASCII)
RECHECK_SECONDS = 60.0


def open_org(
    source: Mapping[str, Any], *, credentials: Credentials, api_version: str, pool_size: int
) -> SalesforceOrg:
    """Open a source from the `source` part of an organization's document. Makes no call.

    `api_version` serves where the document names none. Raises Throttled: until a person has mended the
    settings the organization's imports wait.
    """
    try:
        login = Origin.of(_text(source, "login_url"))
        given = source.get("instance_url")
        instance = Origin.of(given) if isinstance(given, str) and given else None
    except OriginError as error:
        raise _unusable(f"The organization's Salesforce URL {error}.") from None
    if instance is None and login.host not in SHARED_LOGIN_HOSTS:
        instance = login  # one URL serves as both, unless it is one where everybody logs in
    version = str(source.get("api_version") or api_version)
    if not _VERSION.fullmatch(version):
        raise _unusable("The organization's API version is none: write it as 65.0.")
    try:
        secret = credentials.decrypt(_text(source, "secret"))
    except CredentialsError as error:
        raise _unusable(str(error)) from None
    account = Account(
        login=login,
        instance=instance,
        grant=str(source.get("grant") or "client_credentials"),
        client_id=_text(source, "client_id"),
        client_secret=secret,
    )
    return SalesforceOrg(account=account, api_version=version, pool_size=pool_size)


def _text(source: Mapping[str, Any], name: str) -> str:
    value = source.get(name)
    if not isinstance(value, str) or not value:
        raise _unusable(
            f"The organization has no {name} for Salesforce: give it with `imports organization update`."
        )
    return value


def _unusable(detail: str) -> Throttled:
    return Throttled(
        "salesforce_credentials",
        detail,
        waiting_for="salesforce_credentials",
        probe_after=RECHECK_SECONDS,
        probe_cap=RECHECK_SECONDS,
    )

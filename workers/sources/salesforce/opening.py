"""Make an organization's source of its document, refusing what must not be spoken to or logged in with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workers.credentials import Credentials, CredentialsError, owner
from workers.sources.salesforce.grants import (
    GRANTS,
    LAST_SOAP_VERSION,
    SECRETS,
    Account,
    unknown_grant,
    unusable,
)
from workers.sources.salesforce.origins import Origin, OriginError
from workers.sources.surroundings import Surroundings

if TYPE_CHECKING:
    from workers.sources.salesforce.org import SalesforceOrg

_VERSION = re.compile(r"[1-9]\d{1,2}\.0", re.ASCII)


def open_org(  # noqa: PLR0913 - all of it by keyword
    source: Mapping[str, Any],
    *,
    organization_id: str,
    credentials: Credentials,
    api_version: str,
    pool_size: int,
    ca_file: str | None = None,
    around: Surroundings | None = None,
) -> SalesforceOrg:
    """Open a source from the `source` part of an organization's document. Makes no call.

    `api_version` serves where the document names none, `ca_file` where certificates are one's own. Raises Throttled: until a person has mended the
    settings the organization's imports wait.
    """
    try:
        login = Origin.of(_text(source, "login_url"))
        given = source.get("instance_url")
        instance = Origin.of(given) if isinstance(given, str) and given else None
    except OriginError as error:
        raise unusable(f"The organization's Salesforce URL {error}.") from None
    version = str(source.get("api_version") or api_version)
    if not _VERSION.fullmatch(version):
        raise unusable("The organization's API version is none: write it as 65.0.")

    def unseal(name: str, kept: str) -> str:
        return credentials.unseal(kept, owner(organization_id, source, name))

    account = _account(source, login, instance, unseal)
    if account.grant == "soap" and float(version) > LAST_SOAP_VERSION:
        version = f"{LAST_SOAP_VERSION}.0"  # a session that was got in the old way, spoken to in its own time
    # The client library takes most of a second to load and some 15 MB, which only who speaks to Salesforce should
    # pay: neither a render worker nor `imports list`.
    from workers.sources.salesforce.org import SalesforceOrg  # noqa: PLC0415

    return SalesforceOrg(
        account=account, api_version=version, pool_size=pool_size, ca_file=ca_file, around=around
    )


def _account(
    source: Mapping[str, Any], login: Origin, instance: Origin | None, unseal: Callable[[str, str], str]
) -> Account:
    name = str(source.get("grant") or "client_credentials")
    grant = GRANTS.get(name)
    if grant is None:
        raise unknown_grant()
    kept = {"client_secret": source.get("secret"), **(source.get("secrets") or {})}
    secrets: dict[str, str] = {}
    for secret in SECRETS:
        if secret in (*grant.needs, *grant.may_have) and isinstance(kept.get(secret), str):
            try:
                secrets[secret] = unseal(secret, kept[secret])
            except CredentialsError as error:
                raise unusable(str(error)) from None
    for needed in grant.needs:
        if needed in SECRETS and not secrets.get(needed):
            raise unusable(_missing(needed))
    return Account(
        login=login,
        instance=instance,
        grant=name,
        client_id=_text(source, "client_id") if "client_id" in grant.needs else "",
        username=_text(source, "username") if "username" in grant.needs else "",
        secrets=secrets,
    )


def _text(source: Mapping[str, Any], name: str) -> str:
    value = source.get(name)
    if not isinstance(value, str) or not value:
        raise unusable(_missing(name))
    return value


def _missing(name: str) -> str:
    return f"The organization has no {name} for Salesforce: give it with `imports organization update`."

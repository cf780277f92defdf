"""Put together how an organization logs in: what was kept, what is given anew, and what its way needs.

The way of logging in follows from what is given; `--grant` says it where that is not enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from common.documents.database import Document
from workers.credentials import Credentials, CredentialsError, owner
from workers.operate import salesforce
from workers.operate.printing import Trouble
from workers.sources.salesforce.grants import GRANTS, SECRETS

_OPTIONS = {
    "client_id": "--client-id ID",
    "client_secret": "--client-secret-file FILE (`-` for standard input)",
    "private_key": "--jwt-key FILE",
    "username": "--username NAME",
    "refresh_token": "--refresh-token-file FILE",
    "password": "--password-file FILE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a command was given of a login; None where it says nothing."""

    grant: str | None = None
    client_id: str | None = None
    username: str | None = None
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def anything(self) -> bool:
        """Whether anything was given."""
        return bool(self.secrets) or any((self.grant, self.client_id, self.username))


def given(  # noqa: PLR0913 - an option each
    *,
    grant: str | None,
    client_id: str | None,
    username: str | None,
    client_secret: str | None,
    client_secret_file: str | None,
    jwt_key: str | None,
    refresh_token_file: str | None,
    password_file: str | None,
    security_token_file: str | None,
) -> Given:
    """Read the options and the files that they name. Raises Trouble for what cannot be used."""
    files = (
        client_secret_file or client_secret,
        jwt_key,
        refresh_token_file,
        password_file,
        security_token_file,
    )
    if files.count("-") > 1:
        raise Trouble("Standard input can be read once: name files for the other secrets.", exit_code=2)
    if grant is not None and grant not in GRANTS:
        raise Trouble(f"--grant must be one of {', '.join(GRANTS)}.", exit_code=2)
    read = {
        "client_secret": salesforce.secret(client_secret, client_secret_file),
        "private_key": salesforce.file("--jwt-key", jwt_key),
        "refresh_token": salesforce.file("--refresh-token-file", refresh_token_file),
        "password": salesforce.file("--password-file", password_file),
        "security_token": salesforce.file("--security-token-file", security_token_file),
    }
    secrets = {name: text for name, text in read.items() if text is not None}
    return Given(grant=grant, client_id=client_id, username=username, secrets=secrets)


def merged(
    organization_id: str, before: Document, after: Document, new: Given, credentials: Credentials
) -> dict[str, Any]:
    """Return the fields of a login that change. Raises Trouble where it lacks something.

    `before` and `after` are the organization's source with its present and with its new addresses: a secret is sealed
    for the address that it is sent to. Another way of logging in leaves no secret of the earlier one behind, bar those
    that it needs itself.
    """
    grant = new.grant or _way(before, new)
    way = GRANTS[grant]
    kept = secrets_of(before)
    moved = any(before.get(field) != after.get(field) for field in ("login_url", "instance_url"))
    for name in kept.keys() - new.secrets.keys() if moved else ():
        try:
            secret = credentials.unseal(kept[name], owner(organization_id, before, name))
        except CredentialsError as error:
            raise Trouble(str(error)) from None
        kept[name] = credentials.seal(secret, owner(organization_id, after, name))
    kept |= {
        name: credentials.seal(text, owner(organization_id, after, name))
        for name, text in new.secrets.items()
    }
    names = {
        "client_id": new.client_id or before.get("client_id"),
        "username": new.username or before.get("username"),
    }
    for needed in way.needs:
        if not (kept if needed in SECRETS else names).get(needed):
            raise Trouble(f"To log in by {grant} give {_OPTIONS[needed]}.", exit_code=2)
    wanted = {*way.needs, *way.may_have}
    others = {name: kept[name] for name in SECRETS[1:] if name in wanted and kept.get(name)}
    return {
        "grant": grant,
        "secret": kept.get("client_secret") if "client_secret" in wanted else None,
        "secrets": others,
        **{name: value if name in wanted else None for name, value in names.items()},
    }


def rotated(organization_id: str, source: Document, credentials: Credentials) -> dict[str, Any]:
    """Return the secrets of a source, sealed anew under the first key. Raises CredentialsError."""
    kept = {
        name: credentials.seal(
            credentials.unseal(text, owner(organization_id, source, name)),
            owner(organization_id, source, name),
        )
        for name, text in secrets_of(source).items()
    }
    return {"secret": kept.pop("client_secret", None), "secrets": kept}


def secrets_of(source: Document) -> dict[str, str]:
    """Return the secrets that a source keeps, by name, as they are kept."""
    kept = {"client_secret": source.get("secret"), **(source.get("secrets") or {})}
    return {name: text for name, text in kept.items() if text}


def _way(before: Document, new: Given) -> str:
    """Tell the way of logging in from what is given; nothing telling keeps the one there is."""
    if "private_key" in new.secrets:
        return "jwt_bearer"
    if "refresh_token" in new.secrets:
        return "refresh_token"
    if "password" in new.secrets and not before:
        return "password" if new.client_id else "soap"
    return str(before.get("grant") or "client_credentials")

"""Keep the credentials of organizations encrypted at rest, under keys that can be rotated.

Fernet (AES-128-CBC with HMAC-SHA256): the first of CREDENTIALS_KEYS encrypts, all of them decrypt. What is
kept is text, so that a document of the store holds it as it is.

A secret is sealed together with its owner: the organization, the addresses that it may be sent to, and its name.
Who can write to the store but has no key could otherwise copy another organization's secret into a document of
their own, and a worker would send it to their address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

_SEALED = "sealed:"  # what releases before 0.2 kept has no such beginning, and no owner

Owner = Mapping[str, str | None]


def owner(organization_id: str, source: Mapping[str, Any], name: str) -> Owner:
    """Return to whom a secret of an organization belongs: `source` is that part of its document."""
    return {
        "organization_id": organization_id,
        "login_url": source.get("login_url"),
        "instance_url": source.get("instance_url"),
        "name": name,
    }


class CredentialsError(Exception):
    """A credential cannot be encrypted or read; the text says what to do and holds no secret."""


class Credentials:
    """Encrypts and decrypts with a list of Fernet keys, which appear in no repr and no error."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the keys, newest first. An empty list is allowed until something must be encrypted or read."""
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None
        except ValueError:
            raise CredentialsError(
                "CREDENTIALS_KEYS holds something that is no Fernet key: 32 bytes in url-safe base64."
            ) from None

    def encrypt(self, secret: str) -> str:
        """Return the text under which a secret may be kept. Raises CredentialsError without a key."""
        return self._keys().encrypt(secret.encode()).decode("ascii")

    def decrypt(self, kept: str) -> str:
        """Return the secret behind a kept text. Raises CredentialsError if no key fits."""
        try:
            return self._keys().decrypt(kept.encode()).decode()
        except (InvalidToken, UnicodeDecodeError):
            raise _unreadable() from None

    def seal(self, secret: str, owner: Owner) -> str:
        """Return the text under which a secret may be kept for its owner alone. Raises CredentialsError without a key."""
        return _SEALED + self.encrypt(json.dumps({"owner": dict(owner), "secret": secret}))

    def unseal(self, kept: str, owner: Owner) -> str:
        """Return the secret of an owner; one that an earlier release kept has none and is taken as it is.

        Raises CredentialsError if no key fits, or if it was sealed for another owner.
        """
        if not self.is_sealed(kept):
            return self.decrypt(kept)
        sealed: dict[str, Any] = json.loads(self.decrypt(kept.removeprefix(_SEALED)))
        if sealed["owner"] != dict(owner):
            raise CredentialsError(
                "The credential was kept for another organization or another Salesforce address, so it is not sent"
                " to this one: give it anew with `imports organization update`."
            )
        return str(sealed["secret"])

    @staticmethod
    def is_sealed(kept: str) -> bool:
        """Tell whether a kept text names its owner."""
        return kept.startswith(_SEALED)

    def _keys(self) -> MultiFernet:
        if self._fernet is None:
            raise CredentialsError(
                "CREDENTIALS_KEYS is empty: set it, in every worker alike, to a Fernet key"
                ' (`python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"`).'
            )
        return self._fernet


def _unreadable() -> CredentialsError:
    return CredentialsError(
        "No key of CREDENTIALS_KEYS reads this credential: add the key that encrypted it to the end of the"
        " list, or give the credential anew with `imports organization update`."
    )

"""Keep the credentials of organizations encrypted at rest, under keys that can be rotated.

Fernet (AES-128-CBC with HMAC-SHA256): the first of CREDENTIALS_KEYS encrypts, all of them decrypt. What is
kept is text, so that a document of the store holds it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


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

    def rotate(self, kept: str) -> str:
        """Return a kept text encrypted anew under the first key. Raises CredentialsError if no key fits."""
        try:
            return self._keys().rotate(kept.encode()).decode("ascii")
        except InvalidToken:
            raise _unreadable() from None

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

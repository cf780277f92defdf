"""Credentials at rest are unreadable without a key, rotate, and never show in an error."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from workers.credentials import Credentials, CredentialsError, owner

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRET = "a secret nobody may see"
OWNER = owner("acme", {"login_url": "https://acme.my.salesforce.com", "instance_url": None}, "client_secret")


def test_a_secret_comes_back() -> None:
    """What is kept is text without the secret in it, and decrypts to the secret."""
    kept = Credentials([OLD]).encrypt(SECRET)
    assert SECRET not in kept
    assert Credentials([OLD]).decrypt(kept) == SECRET


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    """With a new key in front old credentials stay readable; rotated, they no longer need the old one."""
    kept = Credentials([OLD]).encrypt(SECRET)
    both = Credentials([NEW, OLD])
    assert both.decrypt(kept) == SECRET
    assert Credentials([NEW]).decrypt(both.encrypt(SECRET)) == SECRET


@pytest.mark.parametrize("field", OWNER)
def test_a_sealed_secret_opens_for_its_owner_alone(field: str) -> None:
    """Another organization, address or name finds nothing, and the refusal holds no secret."""
    credentials = Credentials([OLD])
    kept = credentials.seal(SECRET, OWNER)
    assert SECRET not in kept
    assert credentials.unseal(kept, OWNER) == SECRET
    with pytest.raises(CredentialsError, match="kept for another") as caught:
        credentials.unseal(kept, {**OWNER, field: "another"})
    assert SECRET not in str(caught.value)


def test_what_an_earlier_release_kept_is_still_read() -> None:
    """Without an owner it serves until it is rotated, so that an upgrade stops no import."""
    credentials = Credentials([NEW, OLD])
    assert credentials.unseal(Credentials([OLD]).encrypt(SECRET), OWNER) == SECRET


@pytest.mark.parametrize("kept", ["", "nonsense", "é", Credentials([OLD]).encrypt(SECRET)])
def test_an_unreadable_credential_says_what_to_do(kept: str) -> None:
    """A missing key and a mangled text name the setting and the command that mend them."""
    for act in (Credentials([NEW]).decrypt, lambda one: Credentials([NEW]).unseal(one, OWNER)):
        with pytest.raises(CredentialsError, match=r"CREDENTIALS_KEYS.*imports organization update"):
            act(kept)


def test_no_key_is_told_when_one_is_needed() -> None:
    """A process without keys starts; encrypting or decrypting then says which setting is empty."""
    empty = Credentials([])
    for act in (empty.encrypt, empty.decrypt, lambda one: empty.seal(one, OWNER)):
        with pytest.raises(CredentialsError, match="CREDENTIALS_KEYS is empty"):
            act(SECRET)


def test_nothing_shows_a_key() -> None:
    """Neither the repr nor the error of a bad key holds it."""
    assert OLD not in repr(Credentials([OLD]))
    with pytest.raises(CredentialsError) as caught:
        Credentials(["planted-key"])
    assert "planted-key" not in str(caught.value)

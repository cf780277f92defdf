"""Settings that a guesser would find are refused at the start, with what to do instead."""

from __future__ import annotations

import secrets

import pytest

from common.settings import Settings, SettingsError

GOOD = "5e1f0c9a7b3d48620f9e8d7c6b5a4132"


def mistakes(**environ: str) -> tuple[str, ...]:
    """Return what is wrong with an environment."""
    try:
        Settings.load({"TOKEN_SECRETS": GOOD, **environ})
    except SettingsError as error:
        return error.mistakes
    return ()


@pytest.mark.parametrize(
    "secret",
    [
        "a" * 40,
        "ab" * 20,
        "0123456789abcdef" * 2,
        "0123456789abcdefghijklmnopqrstuvwxyz",
        "changemechangemechangemechangeme1",
        "your-256-bit-secret-must-be-32-bytes",
        "my-super-secret-token-key-for-import-api",
        "dev-secret-not-for-production-1234567890",
        "S3cr3t-P@ssw0rd-S3cr3t-P@ssw0rd-2024",
        f"{GOOD},{'x' * 32}",
    ],
)
def test_a_token_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    """One repeated character, a pattern or known words: told as a mistake that never shows the secret."""
    (mistake,) = mistakes(TOKEN_SECRETS=secret)
    assert mistake.startswith("TOKEN_SECRETS ")
    assert "openssl rand" in mistake
    assert secret not in mistake


@pytest.mark.parametrize(
    "password", ["short-Kx7!", "x" * 12, "password12345678", "Operator2024!", "p@ssw0rd1234", "qwertyuiop123"]
)
def test_an_operator_s_password_that_can_be_guessed_is_refused(password: str) -> None:
    """Under twelve characters, or what everybody tries first."""
    (mistake,) = mistakes(OPERATOR_PASSWORD=password)
    assert mistake.startswith("OPERATOR_PASSWORD ")
    assert password not in mistake


def test_both_are_told_together() -> None:
    """One start names every mistake."""
    assert len(mistakes(TOKEN_SECRETS="a" * 32, OPERATOR_PASSWORD="short")) == 2


def test_good_ones_pass() -> None:
    """Whatever a generator makes, and a sentence that is a person's own."""
    assert not mistakes(OPERATOR_PASSWORD="correct horse battery staple")
    assert not mistakes(OPERATOR_PASSWORD="")
    assert not mistakes(TOKEN_SECRETS="a test's own secret of more than thirty-two bytes")
    for _ in range(200):
        assert not mistakes(TOKEN_SECRETS=secrets.token_hex(32), OPERATOR_PASSWORD=secrets.token_urlsafe(18))

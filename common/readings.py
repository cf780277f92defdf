"""Read the text of a setting as what it means; each raises ValueError with a sentence that completes «NAME …»."""

from __future__ import annotations

import base64
import binascii
import zoneinfo
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from common.guessable import why_guessable

SHORTEST_SECRET = 32  # bytes: what HS256 asks for
SHORTEST_PASSWORD = 12

T = TypeVar("T")
N = TypeVar("N", int, float)


def as_text(text: str) -> str:
    return text


def as_choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text.lower()

    return parse


def as_whole(low: int, high: int) -> Callable[[str], int]:
    return lambda text: _between(low, high, text, int)


def as_number(low: float, high: float) -> Callable[[str], float]:
    return lambda text: _between(low, high, text, float)


def _between(low: float, high: float, text: str, kind: Callable[[str], N]) -> N:
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"must be a number, not {text[:40]!r}") from None
    if not low <= value <= high:
        raise ValueError(f"must lie between {low:g} and {high:g}")
    return value


def as_flag(text: str) -> bool:
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    if text.lower() in ("false", "0", "no", "off", ""):
        return False
    raise ValueError("must be true or false")


def as_url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if urlsplit(text).scheme not in schemes:
            raise ValueError(f"must be a URL that begins with {' or '.join(s + '://' for s in schemes)}")
        return text

    return parse


def as_mongodb_url(text: str) -> str:
    if not as_url("mongodb", "mongodb+srv")(text) or len(urlsplit(text).path) < 2:
        raise ValueError("must name the database in its path, as in mongodb://host:27017/imports")
    return text


def as_zone(text: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone such as UTC or Europe/Paris") from None


def as_secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(part.strip() for part in text.split(",") if part.strip())
    if not secrets:
        raise ValueError("must hold at least one secret; make one with `openssl rand -hex 32`")
    if any(len(secret.encode()) < SHORTEST_SECRET for secret in secrets):
        raise ValueError(
            f"holds a secret shorter than {SHORTEST_SECRET} bytes; make one with `openssl rand -hex 32`"
        )
    for reason in filter(None, map(why_guessable, secrets)):
        raise ValueError(f"holds a secret that {reason}; make one with `openssl rand -hex 32`")
    return secrets


def as_password(text: str) -> str:
    if len(text) < SHORTEST_PASSWORD:
        raise ValueError(
            f"must have at least {SHORTEST_PASSWORD} characters; make one with `openssl rand -base64 18`"
        )
    if reason := why_guessable(text):
        raise ValueError(f"{reason} and would be guessed; make one with `openssl rand -base64 18`")
    return text


def as_fernet_keys(text: str) -> tuple[str, ...]:
    keys = tuple(part.strip() for part in text.split(",") if part.strip())
    for key in keys:
        try:
            fits = len(base64.urlsafe_b64decode(key.encode())) == 32
        except (binascii.Error, ValueError):
            fits = False
        if not fits:
            raise ValueError("must hold Fernet keys: 32 bytes in url-safe base64, separated by commas")
    return keys


def as_optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda text: parse(text) if text else None

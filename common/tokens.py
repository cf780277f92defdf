"""Mint, verify and renew the tokens that callers carry: JWT signed with HS256, and nothing else (RFC 8725).

PyJWT signs and checks signatures, pinned to one algorithm. What the header and the claims say is judged here:
PyJWT would read a doubled claim either way, take `true` for a date, and judge claims that the contract leaves
alone. Every cause of refusal is one InvalidTokenError without a text of the token in it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import jwt

ALGORITHM = "HS256"
LONGEST_RENEWAL = 14_400  # seconds: four hours, whatever a token was first made for

# Headers that bring or name a key, or change how the rest is read. We look up no key by what a token says,
# and a token that needs to be read in another way is not one of ours.
_REFUSED_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"})
_KEY_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")  # ignored when plain; a path or a query is an attack
_SEGMENT = "[A-Za-z0-9_-]+"
_TOKEN = re.compile(rf"{_SEGMENT}\.{_SEGMENT}\.{_SEGMENT}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CLAIM_ORDER = ("exp", "iat", "user_id", "iss", "storage", "abilities")
_LEVELS = 32  # of nesting in a token: enough for any claim, and far from where Python's JSON gives up
# One algorithm is registered, so that none other can be reached by any label. A short secret raises at once.
_JWS = jwt.PyJWS(algorithms=[ALGORITHM], options={"enforce_minimum_key_length": True})
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class InvalidTokenError(Exception):
    """The token is not to be trusted, for whatever reason."""

    def __init__(self) -> None:
        super().__init__("The token is not valid.")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `said` is all of its claims, as they stood in it."""

    user_id: str  # lower case, as ids are kept; `said` has it as the caller's token spells it
    expires_at: float | None
    not_before: float | None
    said: Mapping[str, Any]

    def hold(self, now: float) -> bool:
        """Tell whether the token is good at this moment, without leeway: at its expiry it has expired."""
        if self.expires_at is not None and self.expires_at <= now:
            return False
        return self.not_before is None or self.not_before <= now


def mint(user_id: str, *, secret: str, now: float, lifetime: int = LONGEST_RENEWAL) -> str:
    """Return a token for a user that is good for `lifetime` seconds from `now` (seconds since 1970)."""
    return _signed({"exp": int(now) + lifetime, "iat": int(now), "user_id": user_id}, secret)


def verify(token: str, *, secrets: Sequence[str], now: float, require_expiry: bool) -> Claims:
    """Return the claims of a token signed with one of `secrets` and good at `now`.

    Raises InvalidTokenError, and nothing else, for any text. `require_expiry` refuses a token without `exp`.
    A token with `iss` names an organization's own key; no such key exists, so every issuer is unknown.
    """
    if not _TOKEN.fullmatch(token):
        raise InvalidTokenError
    try:
        said = _said(token, secrets)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, JSON of two meanings, a number past all use
        raise InvalidTokenError from None
    user_id = said.get("user_id")
    if "iss" in said or not isinstance(user_id, str) or not _UUID.fullmatch(user_id):
        raise InvalidTokenError
    if require_expiry and "exp" not in said:
        raise InvalidTokenError
    dates = {name: _date(said[name]) for name in ("exp", "nbf") if name in said}
    if None in dates.values():
        raise InvalidTokenError
    claims = Claims(user_id.lower(), dates.get("exp"), dates.get("nbf"), said)
    if not claims.hold(now):
        raise InvalidTokenError
    return claims


def renew(claims: Claims, *, secret: str, now: float) -> str:
    """Return the same token for a time that begins now: as long as the first one's, four hours at most.

    `iat` is not judged, so it may be missing or absurd; what is left until `exp` counts in its place. All
    other claims stay as they are. A token minted in this very second comes back identical.
    """
    lifetime: float = LONGEST_RENEWAL
    if claims.expires_at is not None:
        issued_at = _date(claims.said.get("iat"))
        whole = claims.expires_at - issued_at if issued_at is not None else 0
        lifetime = min(whole if whole > 0 else claims.expires_at - now, LONGEST_RENEWAL)
    # At least one second: whole seconds must not turn a good token into one that is dead on arrival.
    renewed = {**claims.said, "iat": int(now), "exp": int(now) + max(int(lifetime), 1)}
    order = [*_CLAIM_ORDER, *(name for name in renewed if name not in _CLAIM_ORDER)]
    return _signed({name: renewed[name] for name in order if name in renewed}, secret)


def _signed(claims: Mapping[str, Any], secret: str) -> str:
    return _JWS.encode(_ENCODER.encode(claims).encode(), secret, algorithm=ALGORITHM, sort_headers=False)


def _said(token: str, secrets: Sequence[str]) -> dict[str, Any]:
    """Return the claims of a token that one of the secrets signed. Raises InvalidTokenError or ValueError."""
    for secret in secrets:
        try:
            payload = _JWS.decode_complete(token, secret, algorithms=[ALGORITHM])["payload"]
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidTokenError:
            break
        header = _object(jwt.utils.base64url_decode(token.partition(".")[0]))
        kid = header.get("kid", "none")
        if not _REFUSED_HEADERS.isdisjoint(header) or not _KEY_ID.fullmatch(kid):
            break
        return _object(payload)
    raise InvalidTokenError


def _object(data: bytes) -> dict[str, Any]:
    """Read a JSON object that has one meaning only, and that can be written again. Raises ValueError."""
    said = json.loads(
        data.decode(), object_pairs_hook=_no_doubles, parse_constant=_no_constant, parse_float=_finite
    )
    if not isinstance(said, dict) or not _shallow(said, _LEVELS):
        raise ValueError
    _ENCODER.encode(said).encode()  # half a surrogate pair could not be renewed
    return said


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _no_constant(_name: str) -> NoReturn:
    raise ValueError


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError
    return number


def _shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_shallow(part, levels - 1) for part in parts)


def _date(value: Any) -> float | None:
    """Return a claim as seconds since 1970, or None where it is no number that could be one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) < 2**63 else None

"""Find out who asks: the Authorization header's grammar, the token's proof, and the user behind it.

The grammar is the original's, with its leniency (`Token abc`, `Bearer token="abc`, options that nobody reads),
because clients have come to depend on each form. Every refusal is one and the same UnauthenticatedError.

A token that was verified is remembered by its digest, since checking a signature costs more than the rest of
the header; its dates are judged again each time. The user behind it is remembered for a second, in which
thousands of requests may come: one who is disabled is refused after that, whatever the token says.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from common import tokens
from ingest.errors import UnauthenticatedError

_SCHEME = re.compile(r"(?:Token|Bearer)\s+", re.IGNORECASE | re.ASCII)
_PIECE_END = re.compile(r"[,;\t]")
_SPACES = " \r\n\f\v"
_REMEMBERED = 4_096  # tokens, and users
USER_SECONDS = 1.0  # so long a user who was disabled may still be served
_LONGEST_REMEMBERED = 2_048  # characters; longer ones are verified each time, so that memory stays bounded


class User(Protocol):
    """What the lookup knows of a user that may act: it is enabled, and so is its organization."""

    @property
    def id(self) -> str: ...

    @property
    def organization_id(self) -> str: ...

    @property
    def gate(self) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, and with what token."""

    user_id: str
    organization_id: str
    claims: tokens.Claims
    gate: Mapping[str, Any] | None = None  # why the organization's imports wait, where they do


def token_of(authorization: str | None) -> str:
    """Return the token in an Authorization header, unproven. Raises UnauthenticatedError where there is none.

    It is the first piece after the scheme; pieces end at `,` `;` or TAB. `token=` before it and one double
    quote at each end are optional, independently of each other.
    """
    scheme = _SCHEME.match(authorization or "")
    if authorization is None or scheme is None:
        raise UnauthenticatedError
    piece = _PIECE_END.split(authorization[scheme.end() :], maxsplit=1)[0].rstrip(_SPACES)
    token = piece.removeprefix("token=").removeprefix('"').removesuffix('"')
    if not token:
        raise UnauthenticatedError
    return token


def _identity(user: User, claims: tokens.Claims) -> Identity:
    return Identity(user.id, user.organization_id, claims, user.gate)


class Authenticator:
    """Tell the caller of a request.

    `find_user` returns the user of an id, or None where it, or its organization, is unknown or disabled; what
    it raises (a store that is away) passes through. `clock` is in seconds since 1970: the process's own;
    `elapsed` is one that nobody sets.
    """

    def __init__(
        self,
        *,
        find_user: Callable[[str], Awaitable[User | None]],
        secrets: Sequence[str],
        clock: Callable[[], float],
        require_expiry: bool = True,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find_user, self._elapsed = find_user, elapsed
        self._users: OrderedDict[str, tuple[User, float]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[User | None]] = {}
        self._renewed: dict[int, tuple[tokens.Claims, str]] = {}  # by the identity of claims, of one second
        self._renewed_in = 0
        self._secrets = tuple(secrets)
        self._clock = clock
        self._require_expiry = require_expiry
        self._verified: OrderedDict[bytes, tokens.Claims] = OrderedDict()

    async def user(self, authorization: str | None) -> Identity:
        """Return who sent this header. Raises UnauthenticatedError for every cause there is."""
        if (remembered := self.remembered(authorization)) is not None:
            return remembered
        claims = self._claims(token_of(authorization))
        found = await self._user(claims.user_id)
        if found is None:
            raise UnauthenticatedError
        return _identity(found, claims)

    def renewed(self, identity: Identity) -> str:
        """Return the token for the X-token header of a successful answer."""
        second = int(self._clock())
        if second != self._renewed_in:
            self._renewed_in = second
            self._renewed.clear()
        # A token is the same for all answers of a second, and signing it costs a tenth of a POST.
        known = self._renewed.get(id(identity.claims))
        if known is None or known[0] is not identity.claims:
            renewed = tokens.renew(identity.claims, secret=self._secrets[0], now=self._clock())
            known = self._renewed[id(identity.claims)] = (identity.claims, renewed)
        return known[1]

    def remembered(self, authorization: str | None) -> Identity | None:
        """Return who sent this header where nobody has to be asked for it. Raises UnauthenticatedError."""
        claims = self._claims(token_of(authorization))
        known = self._users.get(claims.user_id)
        if known is None or self._elapsed() >= known[1]:
            return None
        return _identity(known[0], claims)

    async def _user(self, user_id: str) -> User | None:
        """Return a user as it is now. One that cannot act is remembered by nobody."""
        asking = self._asking.get(user_id)
        if asking is None:
            asking = self._asking[user_id] = asyncio.create_task(self._look_up(user_id))
            asking.add_done_callback(lambda done: self._asked(user_id, done))
        # Many requests wait for one answer: one that gives up must not take it from the others.
        return await asyncio.shield(asking)

    async def _look_up(self, user_id: str) -> User | None:
        until = self._elapsed() + USER_SECONDS  # counted from the question: the answer is no younger
        self._users.pop(user_id, None)
        found = await self._find_user(user_id)
        if found is not None:
            self._users[user_id] = (found, until)
            if len(self._users) > _REMEMBERED:
                self._users.popitem(last=False)
        return found

    def _asked(self, user_id: str, done: asyncio.Task[User | None]) -> None:
        del self._asking[user_id]
        if not done.cancelled():
            done.exception()  # where every request gave up before, it is nobody's

    def _claims(self, token: str) -> tokens.Claims:
        now = self._clock()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        remembered = self._verified.get(digest)
        if remembered is not None:
            if not remembered.hold(now):
                del self._verified[digest]
                raise UnauthenticatedError
            self._verified.move_to_end(digest)
            return remembered
        try:
            claims = tokens.verify(token, secrets=self._secrets, now=now, require_expiry=self._require_expiry)
        except tokens.InvalidTokenError:
            raise UnauthenticatedError from None
        if len(token) <= _LONGEST_REMEMBERED:
            self._verified[digest] = claims
            if len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)
        return claims

"""Say what a source shares with the other processes that serve its organization; whoever opens it hands it in.

None of it may fail: what cannot be shared now is done for this process alone. A source that is opened
without surroundings (by a command, by a test) is by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Kept:
    """A session as processes hand it to one another. Shows neither part."""

    token: str = field(repr=False)
    instance_url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a login is not worth trying for now, and for how many seconds more."""

    code: str
    detail: str
    waiting_for: str
    probe_after: float
    probe_cap: float
    seconds: float


class SharedSession(Protocol):
    """The session of one organization and one version of its credentials, as all processes know it."""

    def read(self) -> Kept | Refused | None:
        """Return the session, or why there is none to be had; None where nobody has tried."""
        ...

    def write(self, kept: Kept | Refused) -> None:
        """Tell the others what a login brought."""
        ...

    def forget(self, token: str) -> None:
        """Take a session back that Salesforce refuses, unless another has come into its place."""
        ...

    def turn(self, seconds: float) -> AbstractContextManager[bool]:
        """Take the one turn at logging in, for at most some seconds: True where it is this process's."""
        ...

    def may_log_in(self) -> bool:
        """Count a login of all processes together; False where they have been too many of late."""
        ...


class Quota(Protocol):
    """The calls that one organization has used and has left, as all processes know them."""

    def saw(self, used: int, limit: int) -> None:
        """Note what an answer told of the calls of the last 24 hours, those of others included."""
        ...

    def spent(self) -> None:
        """Count a call of our own."""
        ...

    def admit(self, look: Callable[[], None], *, group: bool) -> None:
        """Let a piece of work begin, or raise Throttled where calls are to be left to others.

        `look` makes a call whose answer tells the present numbers; it is made only where the known ones are
        old and would forbid the work.
        """
        ...

    def frees_at(self) -> datetime | None:
        """Return when at the latest there should be calls again; None where nothing is known."""
        ...


class Lanes(Protocol):
    """The places for calls at once to one organization, of all processes together."""

    def lane(self) -> AbstractContextManager[Callable[[], None]]:
        """Take a place for the length of a block, or raise Throttled where all stay taken.

        What it yields is to be called while the block goes on, each few seconds at least.
        """
        ...


class Alone:
    """Nobody else is there: every turn is one's own, and nothing is known but what this process sees."""

    def read(self) -> Kept | Refused | None:
        """Know of nothing."""
        return None

    def write(self, kept: Kept | Refused) -> None:
        """Have nobody to tell."""

    def forget(self, token: str) -> None:
        """Have nothing to take back."""

    @contextlib.contextmanager
    def turn(self, seconds: float) -> Iterator[bool]:  # noqa: ARG002 - the protocol's
        """Have the turn."""
        yield True

    def may_log_in(self) -> bool:
        """Let the process's own count decide."""
        return True

    def saw(self, used: int, limit: int) -> None:
        """Keep no numbers."""

    def spent(self) -> None:
        """Count nothing."""

    def admit(self, look: Callable[[], None], *, group: bool) -> None:
        """Let everything begin."""

    def frees_at(self) -> datetime | None:
        """Know of no time."""
        return None

    @contextlib.contextmanager
    def lane(self) -> Iterator[Callable[[], None]]:
        """Have the place."""
        yield _nothing


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that one organization's source shares."""

    session: SharedSession = field(default_factory=Alone)
    quota: Quota = field(default_factory=Alone)
    lanes: Lanes = field(default_factory=Alone)


def _nothing() -> None:
    pass

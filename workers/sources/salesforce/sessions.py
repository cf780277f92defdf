"""Log in to an organization once for all its threads and processes, and not again before that is of use.

Threads on one expired session make one login: each says which session was refused, and only the first to
say so of the current one logs in. Before it does, it looks whether another process has a newer session,
and takes the one turn of all processes. Wrong credentials are remembered, since a login with them only
brings the user nearer to being locked. All logins together stay below what the vendor blocks a user for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from workers.deadlines import Deadline
from workers.failures import Failure, Interrupted, Throttled
from workers.sources.salesforce.origins import Origin, OriginError
from workers.sources.salesforce.verdicts import unavailable
from workers.sources.surroundings import Alone, Kept, Refused, SharedSession

BURST, REFILL_SECONDS = 30, 4.0
"""Logins: 30 at once, then one every four seconds, 900 an hour; at 3,600 the vendor blocks the user."""
TURN_SECONDS = 40.0
"""How long a turn at logging in is held at most: longer than a login may take, or two would be made."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session that Salesforce gave: the token, and the host it is good for. Shows neither."""

    token: str = field(repr=False)
    instance: Origin = field(repr=False)


class LoginRefusedError(Exception):
    """A login failed in a way that will not change for `seconds`; `failure` makes what to raise meanwhile."""

    def __init__(self, failure: Callable[[], Failure], seconds: float) -> None:
        super().__init__("login refused")
        self.failure, self.seconds = failure, seconds


class Sessions:
    """The current session of one organization in this process.

    `log_in` makes a login and returns the session. It raises LoginRefusedError for what is to be
    remembered and any other Failure for what is not. `shared` is what other processes know, and `admit` is
    told the instance of a session that one of them has got.
    """

    def __init__(
        self,
        log_in: Callable[[Deadline], Session],
        *,
        shared: SharedSession | None = None,
        admit: Callable[[Origin], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log_in, self._monotonic = log_in, monotonic
        self._shared: SharedSession = shared or Alone()
        self._admit = admit
        self._lock = threading.Lock()
        self._current: Session | None = None
        self._unproven: Session | None = None  # our own login's, which no call has succeeded with yet
        self._gone: str | None = None  # the token that was refused last: another process may still offer it
        self._failure: Callable[[], Failure] | None = None
        self._failed_at = self._good_again_at = float("-inf")
        self._allowance, self._filled_at = float(BURST), monotonic()

    def current(self, deadline: Deadline) -> Session:
        """Return a session, logging in if there is none. Raises a Failure."""
        asked_at = self._monotonic()
        session = self._current
        if session is not None:
            return session
        self._wait_for_turn(deadline)
        try:
            return self._current or self._renew(asked_at, deadline)
        finally:
            self._lock.release()

    def confirm(self, session: Session) -> None:
        """Note that Salesforce takes a session."""
        if self._unproven is session:
            self._unproven = None

    def is_unproven(self, session: Session) -> bool:
        """Tell whether our own login brought a session that no call has succeeded with yet."""
        return self._unproven is session

    def refused(self, session: Session) -> None:
        """Note that Salesforce no longer takes a session; said of an older one it changes nothing."""
        with self._lock:
            if self._current is session:
                self._current, self._gone = None, session.token
        self._shared.forget(session.token)

    def refuse_logins(self, session: Session, failure: Throttled, *, seconds: float) -> None:
        """Make no login for so long: the session of the last one was refused, as the next one's would be."""
        with self._lock:  # in one step, or a thread that waits for a session would log in between
            if self._current is session:
                self._current, self._gone = None, session.token
            self._remember(_again(failure), seconds)
        self._shared.write(_kept(failure, seconds))
        self._shared.forget(session.token)

    def _wait_for_turn(self, deadline: Deadline) -> None:
        # In short steps: a thread that waits for another's login must still stop when its worker does.
        while not self._lock.acquire(timeout=0.05):
            if deadline.stopping.is_set():
                raise Interrupted
            if deadline.expired():
                raise unavailable("Logging in to Salesforce took too long.")

    def _renew(self, asked_at: float, deadline: Deadline) -> Session:
        now = self._monotonic()
        # Whoever waited while another's login failed gets that failure: to try in turn would take each of
        # them the same time again.
        if self._failure is not None and (now < self._good_again_at or asked_at < self._failed_at):
            raise self._failure()
        while True:
            session = self._found_elsewhere()
            if session is None:
                with self._shared.turn(TURN_SECONDS) as mine:
                    if mine:
                        # Somebody's login may have ended between the look and the turn.
                        session = self._found_elsewhere() or self._logged_in(deadline)
            if session is not None:
                self._failure, self._current = None, session
                return session
            if deadline.stopping.wait(0.05):
                raise Interrupted
            if deadline.expired():
                raise unavailable("Logging in to Salesforce took too long.")

    def _found_elsewhere(self) -> Session | None:
        """Return the session that another process has got. Raises what another's login has failed with."""
        found = self._shared.read()
        if isinstance(found, Refused):
            failure = _told(found)
            self._remember(failure, found.seconds)
            raise failure()
        if found is None or found.token == self._gone:
            return None
        try:
            session = Session(found.token, Origin.of(found.instance_url))
        except OriginError:
            return None
        self._admit(session.instance)
        return session

    def _logged_in(self, deadline: Deadline) -> Session:
        self._spend(self._monotonic())
        try:
            session = self._log_in(deadline)
        except LoginRefusedError as refused:
            self._remember(refused.failure, refused.seconds)
            failure = refused.failure()
            if isinstance(failure, Throttled):
                self._shared.write(_kept(failure, refused.seconds))
            raise failure from None
        except Throttled as failure:
            self._remember(_again(failure), 0.0)
            raise
        self._shared.write(Kept(session.token, session.instance.url))
        self._unproven = session
        return session

    def _remember(self, failure: Callable[[], Failure], seconds: float) -> None:
        self._failure, self._failed_at = failure, self._monotonic()
        self._good_again_at = self._failed_at + seconds

    def _spend(self, now: float) -> None:
        refilled = self._allowance + (now - self._filled_at) / REFILL_SECONDS
        self._allowance, self._filled_at = min(float(BURST), refilled), now
        if self._allowance < 1 or not self._shared.may_log_in():
            raise unavailable(
                "Salesforce refuses one session after the other; the next login waits a little."
            )
        self._allowance -= 1


def _again(failure: Throttled) -> Callable[[], Failure]:
    def same() -> Failure:
        return Throttled(
            failure.code,
            failure.detail,
            waiting_for=failure.waiting_for,
            scope=failure.scope,
            probe_after=failure.probe_after,
            probe_cap=failure.probe_cap,
        )

    return same


def _kept(failure: Throttled, seconds: float) -> Refused:
    return Refused(
        code=failure.code,
        detail=failure.detail,
        waiting_for=failure.waiting_for,
        probe_after=failure.probe_after,
        probe_cap=failure.probe_cap,
        seconds=seconds,
    )


def _told(refused: Refused) -> Callable[[], Failure]:
    return lambda: Throttled(
        refused.code,
        refused.detail,
        waiting_for=refused.waiting_for,
        probe_after=refused.probe_after,
        probe_cap=refused.probe_cap,
    )

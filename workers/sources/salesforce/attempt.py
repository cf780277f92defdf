"""Make the calls of one attempt: at most one new login, one repeat on a dead connection, a deadline, a verdict.

Everything that is asked of an organization goes through `Attempt.call`, which turns whatever goes wrong
into a Failure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import requests
from requests import Response
from simple_salesforce.api import Salesforce, SFType

from workers.deadlines import Deadline, Watch
from workers.failures import Failure, Interrupted, Permanent, Throttled, Transient
from workers.sources.salesforce.answers import refusal
from workers.sources.salesforce.sessions import Session
from workers.sources.salesforce.verdicts import (
    QUOTA,
    MovedError,
    SessionRefusedError,
    TroubleError,
    Verdict,
    of_break,
    of_refusal,
)
from workers.sources.salesforce.wire import BROKEN, RefusedError, UnreadableError

if TYPE_CHECKING:
    from workers.sources.salesforce.org import SalesforceOrg

T = TypeVar("T")

ROW_SECONDS = 30.0
_MISREAD = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What the library raises of an answer of 200 that is no JSON."""


@dataclass(frozen=True, slots=True)
class _Amiss:
    """What is to be thought of a call that failed, and whether only its connection had died in the pool."""

    verdict: Verdict
    died_idle: bool = False


class Attempt:
    """The calls that one piece of work makes.

    `subject` is the id of what it is about, for `standing`; `group` says that it is done for a group of
    imports, which leaves the organization's reserve of calls alone.
    """

    def __init__(self, org: SalesforceOrg, subject: str, deadline: Deadline, *, group: bool = False) -> None:
        self.org, self.deadline, self._subject, self._group = org, deadline, subject, group
        self._logged_in_again = self._answered = self._admitted = False
        self.calls = 0
        self.alive: Callable[[], None] = _nothing  # to be called while a long answer comes in
        self._place: contextlib.ExitStack | None = None  # of all calls of a block

    @contextlib.contextmanager
    def in_one_place(self) -> Iterator[None]:
        """Keep the place among the organization's calls that the first call of the block takes."""
        with contextlib.ExitStack() as place:
            self._place = place
            try:
                yield
            finally:
                self._place, self.alive = None, _nothing

    def row(self, table: str, record_id: str, fields: str) -> dict[str, Any]:
        """Read fields of one record, by one call. The id is a checked one: the library takes it for a URL."""

        def read(session: Session) -> Any:
            rows = SFType(
                table,
                session.token,
                session.instance.host,
                sf_version=self.org.api_version,
                session=self.org.wire,
            )
            try:
                return rows.get(record_id, params={"fields": fields})
            except _MISREAD:
                raise UnreadableError("the row cannot be read") from None

        told = self.call(read, self.deadline.at_most(ROW_SECONDS))
        if not isinstance(told, dict):
            raise Transient("answer_unreadable", "Salesforce answered with something that is no row.")
        return told

    def page(self, query: str, more: str | None) -> dict[str, Any]:
        """Ask for a page of a query, by one call: the first, or the one whose checked path is `more`."""

        def read(session: Session) -> Any:
            # Given a session, the library has nothing to log in with: it never refreshes by itself.
            client = Salesforce(
                session_id=session.token,
                instance=session.instance.host,
                version=self.org.api_version,
                session=self.org.wire,
            )
            try:
                return (
                    client.query(query) if more is None else client.query_more(more, identifier_is_url=True)
                )
            except _MISREAD:
                raise UnreadableError("the page cannot be read") from None

        told = self.call(read, self.deadline.at_most(ROW_SECONDS))
        if not isinstance(told, dict) or not isinstance(told.get("records"), list):
            raise Transient(
                "answer_unreadable", "Salesforce answered a query with something that is no page."
            )
        return told

    def rest(self, path: str) -> None:
        """Ask for a resource for what its answer's headers and status tell. The path is ours, never a caller's."""

        def ask(session: Session) -> Response:
            return self.org.wire.get(
                f"{session.instance.url}/services/data/v{self.org.api_version}/{path}",
                headers={"Authorization": f"Bearer {session.token}"},
            )

        self.call(ask, self.deadline.at_most(ROW_SECONDS))

    def call(self, call: Callable[[Session], T], deadline: Deadline | None = None) -> T:
        """Make one call in the current session, and once more where that can mend it. Raises a Failure.

        `deadline` ends the call earlier than the attempt.
        """
        deadline = deadline or self.deadline
        if not self._admitted:
            self._admitted = True
            self.org.around.quota.admit(self._look, group=self._group)
        repeated = False
        while True:
            if self.deadline.stopping.is_set():
                raise Interrupted
            session = self.org.sessions.current(self.deadline)
            outcome = self._tried(call, session, deadline)
            if not isinstance(outcome, _Amiss):
                self.org.sessions.confirm(session)
                return outcome
            verdict = outcome.verdict
            if isinstance(verdict, Permanent):
                self.org.sessions.confirm(session)
            if (
                isinstance(verdict, SessionRefusedError)
                and not self._logged_in_again
                and not (verdict.lasting and self.org.sessions.is_unproven(session))
            ):
                self._logged_in_again = True
                self.org.sessions.refused(session)
            elif outcome.died_idle and not repeated:
                repeated = True
            else:
                self._fail(verdict, session)

    def _tried(self, call: Callable[[Session], T], session: Session, deadline: Deadline) -> T | _Amiss:
        self.calls += 1
        self.org.around.quota.spent()
        with self._lane() as self.alive, deadline.watched() as watch:
            try:
                brought = call(session)
            except (RefusedError, UnreadableError, Failure, *BROKEN) as error:
                return _Amiss(self._verdict(error, deadline), self._died_idle(error, watch))
        if deadline.over():  # a body without a length ends early and looks whole when it is shut
            return _Amiss(_over(deadline))
        self._well()
        return brought

    def _lane(self) -> contextlib.AbstractContextManager[Callable[[], None]]:
        if self._place is None:
            return self.org.around.lanes.lane()
        if self.alive is _nothing:
            self.alive = self._place.enter_context(self.org.around.lanes.lane())
        self.alive()
        return contextlib.nullcontext(self.alive)

    def _look(self) -> None:
        """Ask for the present limits. The user may lack the permission to: what was asked for is told all the same,
        in a header of the refusal."""

        with contextlib.suppress(Permanent):
            self.rest("limits")

    def _verdict(self, error: Exception, deadline: Deadline) -> Verdict:
        if isinstance(error, RefusedError):
            told = refusal(error.status, error.headers, error.body, now=self.org.clock())
            verdict = of_refusal(told)
            if isinstance(verdict, Throttled) and verdict.code == QUOTA:
                verdict.expected_at = self.org.around.quota.frees_at()
            if isinstance(verdict, Permanent):
                self._well()  # it understood the question: the organization is well
            return verdict
        if isinstance(error, Permanent):
            return error
        if deadline.over():
            return _over(deadline)
        if isinstance(error, Failure):
            return error
        if isinstance(error, UnreadableError):
            return Transient("answer_unreadable", "Salesforce answered with something that cannot be read.")
        return of_break(error)

    def _died_idle(self, error: Exception, watch: Watch) -> bool:
        broke = isinstance(error, requests.ConnectionError) and not isinstance(error, requests.Timeout)
        return broke and watch.reused and not self.deadline.over()

    def _well(self) -> None:
        self._answered = True
        self.org.standing.succeeded()

    def _fail(self, verdict: Verdict, session: Session) -> NoReturn:
        if isinstance(verdict, TroubleError):
            raise self._placed(verdict, session)
        if isinstance(verdict, SessionRefusedError):
            self.org.sessions.refuse_logins(
                session, verdict.fresh, seconds=verdict.fresh.probe_after if verdict.lasting else 0.0
            )
            raise verdict.fresh
        if isinstance(verdict, MovedError):
            self.org.moved(session)
            raise Transient(
                "salesforce_redirected",
                "Salesforce answered with a redirect, which is never followed: check the organization's URL.",
            )
        raise verdict

    def _placed(self, trouble: TroubleError, session: Session) -> Failure:
        """Put trouble down to this answer or to the organization."""
        if self._answered or self.org.standing.others_succeed(
            self._subject, answers=lambda: self.org.answers(session, self.deadline)
        ):
            return trouble.of_answer()
        if self.deadline.stopping.is_set():
            return Interrupted()
        return trouble.of_organization()


def _over(deadline: Deadline) -> Failure | TroubleError:
    if deadline.stopping.is_set():
        return Interrupted()
    return TroubleError("salesforce_too_slow", "Salesforce did not answer whole in the time it had.")


def _nothing() -> None:
    pass

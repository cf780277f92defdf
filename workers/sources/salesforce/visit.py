"""Visit one record: one attempt, from its row to its last byte.

Every call goes through `_call`, which holds the promises: at most one new login, one immediate repeat on a
connection that had died in the pool, a deadline, and a Failure for whatever goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar

import requests
from requests import Response
from simple_salesforce.api import SFType

from workers.deadlines import Deadline, Watch
from workers.failures import Failure, Interrupted, Permanent, Transient
from workers.sources.record import Received, Record
from workers.sources.salesforce import body
from workers.sources.salesforce.answers import refusal
from workers.sources.salesforce.sessions import Session
from workers.sources.salesforce.verdicts import (
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
FIELDS = "Name,ContentType,BodyLength,ParentId"
LONGEST_CLAIM = 255
"""Characters kept of a name or a content type, as many as the vendor allows a name."""


@dataclass(frozen=True, slots=True)
class _Amiss:
    """What is to be thought of a call that failed, and whether only its connection had died in the pool."""

    verdict: Verdict
    died_idle: bool = False


class SalesforceVisit:
    """One attempt at one record."""

    def __init__(self, org: SalesforceOrg, record_id: str, deadline: Deadline) -> None:
        self._org, self._id, self._deadline = org, record_id, deadline
        self._logged_in_again = self._answered = False
        self.calls = 0

    def describe(self) -> Record:
        """Read the record's row: one call."""

        def row(session: Session) -> Any:
            table = SFType(
                "Attachment",
                session.token,
                session.instance.host,
                sf_version=self._org.api_version,
                session=self._org.wire,
            )
            try:
                return table.get(self._id, params={"fields": FIELDS})
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                raise UnreadableError("the row cannot be read") from None

        told = self._call(row, self._deadline.at_most(ROW_SECONDS))
        if not isinstance(told, dict) or "BodyLength" not in told:
            raise Transient("answer_unreadable", "Salesforce answered with something that is no row.")
        size = told["BodyLength"]
        return Record(
            id=self._id,
            name=_claim(told.get("Name")),
            content_type=_claim(told.get("ContentType")),
            size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
            parent_id=_claim(told.get("ParentId")),
        )

    def stream(self, record: Record, sink: BinaryIO, *, max_bytes: int) -> Received:
        """Write the record's bytes to the sink, verified: one call."""
        body.check_promise(record, max_bytes=max_bytes)

        def blob(session: Session) -> Received:
            with self._get(session, f"sobjects/Attachment/{self._id}/Body") as response:
                return body.receive(response, record, sink, max_bytes=max_bytes)

        return self._call(blob, self._deadline)

    def _get(self, session: Session, path: str) -> Response:
        return self._org.wire.get(
            f"{session.instance.url}/services/data/v{self._org.api_version}/{path}",
            headers={"Authorization": f"Bearer {session.token}"},
            stream=True,
        )

    def _call(self, call: Callable[[Session], T], deadline: Deadline) -> T:
        """Make one call in the current session, and once more where that can mend it. Raises a Failure."""
        repeated = False
        while True:
            if self._deadline.stopping.is_set():
                raise Interrupted
            session = self._org.sessions.current(self._deadline)
            outcome = self._tried(call, session, deadline)
            if not isinstance(outcome, _Amiss):
                return outcome
            verdict = outcome.verdict
            if isinstance(verdict, SessionRefusedError) and not self._logged_in_again:
                self._logged_in_again = True
                self._org.sessions.refused(session)
            elif outcome.died_idle and not repeated:
                repeated = True
            else:
                self._fail(verdict, session)

    def _tried(self, call: Callable[[Session], T], session: Session, deadline: Deadline) -> T | _Amiss:
        self.calls += 1
        with deadline.watched() as watch:
            try:
                brought = call(session)
            except (RefusedError, UnreadableError, Failure, *BROKEN) as error:
                return _Amiss(self._verdict(error, deadline), self._died_idle(error, watch))
        if deadline.over():  # a body without a length ends early and looks whole when it is shut
            return _Amiss(_over(deadline))
        self._well()
        return brought

    def _verdict(self, error: Exception, deadline: Deadline) -> Verdict:
        if isinstance(error, RefusedError):
            told = refusal(error.status, error.headers, error.body, now=self._org.clock())
            verdict = of_refusal(told)
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
        return broke and watch.reused and not self._deadline.over()

    def _well(self) -> None:
        self._answered = True
        self._org.standing.succeeded()

    def _fail(self, verdict: Verdict, session: Session) -> NoReturn:
        if isinstance(verdict, TroubleError):
            raise self._placed(verdict, session)
        if isinstance(verdict, SessionRefusedError):
            raise Transient("salesforce_session_refused", "Salesforce refused two sessions, one of them new.")
        if isinstance(verdict, MovedError):
            self._org.moved(session)
            raise Transient(
                "salesforce_redirected",
                "Salesforce answered with a redirect, which is never followed: check the organization's URL.",
            )
        raise verdict

    def _placed(self, trouble: TroubleError, session: Session) -> Failure:
        """Put trouble down to this answer or to the organization."""
        if self._answered or self._org.standing.others_succeed(
            self._id, answers=lambda: self._org.answers(session, self._deadline)
        ):
            return trouble.of_answer()
        if self._deadline.stopping.is_set():
            return Interrupted()
        return trouble.of_organization()


def _over(deadline: Deadline) -> Failure | TroubleError:
    if deadline.stopping.is_set():
        return Interrupted()
    return TroubleError("salesforce_too_slow", "Salesforce did not answer whole in the time it had.")


def _claim(value: object) -> str | None:
    """Keep a text that a row claims: not longer than a name may be, and writable as UTF-8."""
    if not isinstance(value, str) or not value:
        return None
    return value[:LONGEST_CLAIM].encode("utf-8", "replace").decode("utf-8")

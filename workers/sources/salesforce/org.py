"""One organization as a source: its connections, its session, its standing, and visits to its records.

A visit is one attempt: describe the record, stream its bytes. Every call goes through `_call`, which holds
the promises: at most one new login, one immediate repeat on a connection that had died in the pool, a
deadline, and a Failure for whatever goes wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, NoReturn, TypeVar

import requests
from requests import Response
from simple_salesforce.api import SFType
from urllib3.exceptions import HTTPError

from common.sources import SourceIdError, salesforce_id
from workers.deadlines import Deadline, Watch
from workers.failures import Failure, Interrupted, Permanent, Transient
from workers.sources.record import Received, Record
from workers.sources.salesforce import body
from workers.sources.salesforce.answers import refusal
from workers.sources.salesforce.logins import Account, log_in
from workers.sources.salesforce.sessions import Session, Sessions
from workers.sources.salesforce.standing import Standing
from workers.sources.salesforce.verdicts import (
    MovedError,
    SessionRefusedError,
    TroubleError,
    Verdict,
    of_break,
    of_refusal,
)
from workers.sources.salesforce.wire import RefusedError, UnreadableError, Wire

T = TypeVar("T")

LOGIN_SECONDS, ROW_SECONDS, PROBE_SECONDS = 30.0, 30.0, 5.0
FIELDS = "Name,ContentType,BodyLength,ParentId"
LONGEST_CLAIM = 255
"""Characters kept of a name or a content type, as many as the vendor allows a name."""

_BROKEN = (requests.RequestException, HTTPError, OSError)


class SalesforceOrg:
    """One organization in this process; safe to be used by many threads. `api_version` reads like "65.0"."""

    def __init__(
        self,
        *,
        account: Account,
        api_version: str,
        pool_size: int = 32,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account, self.api_version, self.clock = account, api_version, clock
        self.wire = Wire(account.login, pool_size=pool_size)
        self.sessions = Sessions(self._log_in, monotonic=monotonic)
        self.standing = Standing(monotonic)
        if account.instance is not None:
            self.wire.admit(account.instance)

    def visit(self, record_id: str, *, deadline: Deadline) -> SalesforceVisit:
        """Begin an attempt at a record. Raises Permanent for an id that must not become part of a URL."""
        try:
            return SalesforceVisit(self, salesforce_id(record_id), deadline)
        except SourceIdError as error:
            raise Permanent(error.code, error.detail) from None

    def moved(self, session: Session) -> None:
        """Note a redirect: where the login names the instance, the next one names it anew."""
        if self._account.instance is None:
            self.sessions.refused(session)

    def close(self) -> None:
        """Close the connections that wait for a call."""
        self.wire.close()

    def answers(self, session: Session | None, deadline: Deadline) -> bool:
        """Ask, without a session, for the list of API versions: costs nothing and needs no permission."""
        instance = session.instance if session is not None else self._account.instance
        if instance is None:
            return False
        own = Deadline(PROBE_SECONDS, stopping=deadline.stopping)  # the visit's own time may have run out
        try:
            with own.watched():
                self.wire.get(f"{instance.url}/services/data")
        except RefusedError as answer:
            return answer.status < 500 and answer.status != 420
        except (*_BROKEN, UnreadableError):
            return False
        return True

    def _log_in(self, deadline: Deadline) -> Session:
        part = deadline.at_most(LOGIN_SECONDS)
        try:
            with part.watched():
                return log_in(self.wire, self._account, now=self.clock)
        except (*_BROKEN, UnreadableError) as error:
            if deadline.stopping.is_set():
                raise Interrupted from None
            verdict = of_break(error)
            raise (verdict.of_organization() if isinstance(verdict, TroubleError) else verdict) from None


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
            except (RefusedError, UnreadableError, Failure, *_BROKEN) as error:
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

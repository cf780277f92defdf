"""Be one organization as a source: its connections, its session, its standing, shared by all its visits."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from common.sources import SourceIdError, case_id, salesforce_id
from workers.deadlines import Deadline
from workers.failures import Interrupted, Permanent
from workers.sources.record import Record
from workers.sources.salesforce.attempt import Attempt
from workers.sources.salesforce.grants import Account
from workers.sources.salesforce.listing import CaseListing
from workers.sources.salesforce.logins import log_in
from workers.sources.salesforce.sessions import Session, Sessions
from workers.sources.salesforce.standing import Standing
from workers.sources.salesforce.verdicts import TroubleError, of_break
from workers.sources.salesforce.visit import SalesforceVisit
from workers.sources.salesforce.wire import BROKEN, RefusedError, UnreadableError, Wire
from workers.sources.surroundings import Surroundings

LOGIN_SECONDS, PROBE_SECONDS = 30.0, 5.0


class SalesforceOrg:
    """One organization in this process; safe to be used by many threads. `api_version` reads like "65.0"."""

    def __init__(  # noqa: PLR0913 - all of it by keyword
        self,
        *,
        account: Account,
        api_version: str,
        pool_size: int = 32,
        ca_file: str | None = None,
        around: Surroundings | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account, self.api_version, self.clock = account, api_version, clock
        self.around = around or Surroundings()
        self.wire = Wire(account.login, pool_size=pool_size, ca_file=ca_file, told=self.around.quota.saw)
        self.sessions = Sessions(
            self._log_in, shared=self.around.session, admit=self.wire.admit, monotonic=monotonic
        )
        self.standing = Standing(monotonic)
        if account.instance is not None:
            self.wire.admit(account.instance)

    def visit(
        self, record_id: str, *, deadline: Deadline, known: Record | None = None, group: bool = False
    ) -> SalesforceVisit:
        """Begin an attempt at a record. Raises Permanent for an id that must not become part of a URL."""
        checked = _checked(salesforce_id, record_id)
        return SalesforceVisit(Attempt(self, checked, deadline, group=group), checked, known=known)

    def images_of(
        self,
        album_id: str,
        *,
        created_since: datetime | None = None,
        include_emails: bool = True,
        deadline: Deadline,
    ) -> CaseListing:
        """List what hangs on a Case. Raises Permanent for an id that is no Case's."""
        checked = _checked(case_id, album_id)
        return CaseListing(
            Attempt(self, checked, deadline, group=True),
            checked,
            created_since=created_since,
            include_emails=include_emails,
        )

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
        except (*BROKEN, UnreadableError):
            return False
        return True

    def _log_in(self, deadline: Deadline) -> Session:
        part = deadline.at_most(LOGIN_SECONDS)
        try:
            with part.watched():
                return log_in(self.wire, self._account, now=self.clock)
        except (*BROKEN, UnreadableError) as error:
            if deadline.stopping.is_set():
                raise Interrupted from None
            verdict = of_break(error)
            raise (verdict.of_organization() if isinstance(verdict, TroubleError) else verdict) from None


def _checked(read: Callable[[str], str], text: str) -> str:
    try:
        return read(text)
    except SourceIdError as error:
        raise Permanent(error.code, error.detail) from None

"""Visit one record: one attempt, from its row to its last byte."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO

from requests import Response

from common.sources import SourceIdError, canonical_id
from workers.failures import Permanent, Transient
from workers.sources.record import Received, Record
from workers.sources.salesforce import body
from workers.sources.salesforce.attempt import Attempt
from workers.sources.salesforce.kinds import BY_PREFIX, CONTENT_DOCUMENT, VERSION, Kind, elsewhere
from workers.sources.salesforce.sessions import Session


class SalesforceVisit:
    """One attempt at one record, whose id is a checked one. `known` is its row where a listing told it."""

    def __init__(self, attempt: Attempt, record_id: str, *, known: Record | None) -> None:
        self._attempt, self._id, self._known = attempt, record_id, known

    @property
    def calls(self) -> int:
        """How many calls have counted against the organization's allowance so far."""
        return self._attempt.calls

    def open(self) -> AbstractContextManager[None]:
        """Keep one place for the calls of the block."""
        return self._attempt.in_one_place()

    def describe(self) -> Record:
        """Read the record's row: no call where it is known, else one; a ContentDocument costs one more."""
        if self._known is not None:
            return self._known
        record_id = self._id if self._id[:3] != CONTENT_DOCUMENT else self._latest_version()
        kind = BY_PREFIX[record_id[:3]]
        row = self._attempt.row(kind.name, record_id, kind.fields(self._attempt.org.api_version))
        if not kind.is_row(row):
            raise Transient("answer_unreadable", "Salesforce answered with something that is no row.")
        if (linked := elsewhere(row)) is not None:
            raise linked
        return kind.read(record_id, row)

    def stream(self, record: Record, sink: BinaryIO, *, max_bytes: int) -> Received:
        """Write the record's bytes to the sink, verified: one call."""
        body.check_promise(record, max_bytes=max_bytes)
        kind = BY_PREFIX[record.id[:3]]

        def blob(session: Session) -> Received:
            with self._get(session, kind, record.id) as response:
                return body.receive(response, record, sink, max_bytes=max_bytes, alive=self._attempt.alive)

        return self._attempt.call(blob)

    def _latest_version(self) -> str:
        """Ask which version of a file is the published one: it alone has bytes."""
        row = self._attempt.row("ContentDocument", self._id, "LatestPublishedVersionId")
        told = row.get("LatestPublishedVersionId")
        if told is None and "LatestPublishedVersionId" in row:
            raise Permanent(
                "attachment_unpublished",
                "The file has no published version: publish it in Salesforce, or send a version's id (068…).",
            )
        try:
            # The next URL is made of it, and it comes from the other side.
            return canonical_id(str(told), kinds=(VERSION.name,))
        except SourceIdError:
            raise Transient(
                "answer_unreadable", "Salesforce answered with something that is no row."
            ) from None

    def _get(self, session: Session, kind: Kind, record_id: str) -> Response:
        org = self._attempt.org
        path = f"services/data/v{org.api_version}/sobjects/{kind.name}/{record_id}/{kind.blob}"
        return org.wire.get(
            f"{session.instance.url}/{path}",
            headers={"Authorization": f"Bearer {session.token}"},
            stream=True,
        )

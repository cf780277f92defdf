"""List what hangs on a Case: its attachments, its files, and those of its e-mail messages.

    Attachment             ParentId = the Case             2,000 rows a call
    EmailMessage           ParentId = the Case             only their ids
    Attachment             ParentId IN the messages        200 messages a call
    ContentDocumentLink    LinkedEntityId IN all of them   filtered as the vendor demands: by = or IN alone
    ContentVersion         ContentDocumentId IN the links  the latest of each, 200 files a call

Whatever an answer names as an id is checked before anything is made of it, and so is the path of a further
page: both come from the other side.

Every query names its order. Without one Salesforce promises none, and rows that change places between two
pages would be brought in twice or never.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from simple_salesforce.format import format_soql

from common.sources import SourceIdError, canonical_id
from workers.failures import Transient
from workers.sources.record import ListedRecord
from workers.sources.salesforce.attempt import Attempt
from workers.sources.salesforce.kinds import ATTACHMENT, VERSION, Kind, elsewhere

IDS_A_CALL = 200
"""Ids named in one query: about 5 kB of URL, of the 16 kB that are taken."""
MOST_PAGES = 10_000
_NEXT = re.compile(r"/services/data/v\d{2,3}\.0/query/[A-Za-z0-9_=-]{1,4096}", re.ASCII)


class CaseListing:
    """The records of one Case, whose id is a checked one."""

    def __init__(
        self, attempt: Attempt, case_id: str, *, created_since: datetime | None, include_emails: bool
    ) -> None:
        self._attempt, self._case_id = attempt, case_id
        self._since, self._include_emails = created_since, include_emails

    @property
    def calls(self) -> int:
        """How many calls have counted against the organization's allowance so far."""
        return self._attempt.calls

    def __iter__(self) -> Iterator[list[ListedRecord]]:
        """Yield pages of what hangs on the Case, then of what hangs on its messages, then of its files."""
        yield from self._hanging_on((self._case_id,))
        messages = list(self._messages()) if self._include_emails else []
        for some in _some(messages):
            yield from self._hanging_on(some)
        yield from self._files((self._case_id, *messages))

    def _hanging_on(self, parents: Sequence[str]) -> Iterator[list[ListedRecord]]:
        where = format_soql("ParentId IN {}", list(parents))
        for rows in self._pages(self._query(ATTACHMENT, where)):
            yield [self._listed(ATTACHMENT, row) for row in rows]

    def _messages(self) -> Iterator[str]:
        query = format_soql("SELECT Id FROM EmailMessage WHERE ParentId = {} ORDER BY Id", self._case_id)
        for rows in self._pages(query):
            yield from (_checked(row, "Id", "EmailMessage") for row in rows)

    def _files(self, entities: Sequence[str]) -> Iterator[list[ListedRecord]]:
        seen: set[str] = set()  # a file may hang on the Case and on each of its messages
        for some in _some(entities):
            query = format_soql(
                "SELECT ContentDocumentId FROM ContentDocumentLink WHERE LinkedEntityId IN {} ORDER BY Id",
                some,
            )
            for rows in self._pages(query):
                linked = {_checked(row, "ContentDocumentId", "ContentDocument") for row in rows} - seen
                seen |= linked
                yield from self._versions(sorted(linked))

    def _versions(self, files: list[str]) -> Iterator[list[ListedRecord]]:
        for some in _some(files):
            where = format_soql("ContentDocumentId IN {} AND IsLatest = true", some)
            for rows in self._pages(self._query(VERSION, where)):
                here = [self._listed(VERSION, row) for row in rows if elsewhere(row) is None]
                if here:
                    yield here

    def _query(self, kind: Kind, where: str) -> str:
        fields = f"Id,CreatedDate,{kind.fields(self._attempt.org.api_version)}"
        since = "" if self._since is None else format_soql(" AND CreatedDate >= {}", self._since)
        return f"SELECT {fields} FROM {kind.name} WHERE {where}{since} ORDER BY Id"  # noqa: S608 - each value is quoted

    def _pages(self, query: str) -> Iterator[list[Mapping[str, Any]]]:
        """Ask page by page and yield those that hold rows. An end is kept for an answer that never comes to one."""
        more: str | None = None
        asked: set[str] = set()
        for _ in range(MOST_PAGES):
            page = self._attempt.page(query, more)
            rows = page["records"]
            if not all(isinstance(row, Mapping) for row in rows):
                raise _unreadable()
            if rows:
                yield rows
            if page.get("done") is not False:
                return
            following = page.get("nextRecordsUrl")
            if not isinstance(following, str) or _NEXT.fullmatch(following) is None:
                raise _unreadable()
            if following in asked:
                raise _circular()
            asked.add(following)
            more = following
        raise _unreadable()

    def _listed(self, kind: Kind, row: Mapping[str, Any]) -> ListedRecord:
        record = kind.read(_checked(row, "Id", kind.name), row)
        return ListedRecord(
            record_id=record.id,
            kind=kind.name,
            name=record.name,
            size=record.size,
            content_type=record.content_type,
            md5=record.md5,
            created_at=_moment(row.get("CreatedDate")),
            parent_id=record.parent_id,
        )


def _some(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), IDS_A_CALL):
        yield list(ids[start : start + IDS_A_CALL])


def _checked(row: Mapping[str, Any], field: str, kind: str) -> str:
    try:
        return canonical_id(str(row.get(field)), kinds=(kind,))
    except SourceIdError:
        raise _unreadable() from None


def _moment(text: object) -> datetime | None:
    """Read `2019-04-08T17:38:57.000+0000`; None for what is no time."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _unreadable() -> Transient:
    return Transient("answer_unreadable", "Salesforce answered a query with rows that cannot be read.")


def _circular() -> Transient:
    return Transient(
        "answer_unreadable",
        "Salesforce answered a query with a next page that it had named before; the listing is begun anew.",
    )

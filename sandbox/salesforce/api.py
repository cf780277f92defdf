"""Answer the REST API: versions, limits, rows, blobs, queries. Pure but for sessions and counters.

REST API Developer Guide (https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta): "sObject Rows",
"sObject Blob Get", "Query", "Limits", "Headers" (Sforce-Limit-Info), "Status Codes and Error Responses".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.salesforce import soap, soql
from sandbox.salesforce.allowance import Allowance
from sandbox.salesforce.ids import canonical
from sandbox.salesforce.messages import Answer, Call, not_found, refused, told
from sandbox.salesforce.objects import tables_of
from sandbox.salesforce.records import Records
from sandbox.salesforce.sessions import Sessions
from sandbox.salesforce.tables import Attachments, Record, Table

PAGE = 2000
OLDEST, NEWEST = 31, 66
# The text of the Object Reference, ContentDocumentLink, "Usage".
_FILTER = (
    "Implementation restriction: {table} requires a filter by a single Id on ContentDocumentId or "
    "LinkedEntityId using the equals operator or multiple Id's using the IN operator."
)
_VERSION = re.compile(r"^/services/data/v(\d+)\.0(/.*)?$", re.IGNORECASE)


@dataclass(slots=True)
class Api:
    """The organization as a client sees it; `calls` and `blobs` are counted for tests."""

    sessions: Sessions
    attachments: Attachments
    calls: Counter[str] = field(default_factory=Counter)
    blobs: Counter[str] = field(default_factory=Counter)
    allowance: Allowance = field(default_factory=Allowance)
    denied: set[str] = field(default_factory=set)  # objects the integration user may not read, in lower case
    records: Records = field(init=False)
    _tables: dict[str, Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.records = Records(self.attachments.data / "records")
        self._tables = tables_of(self.attachments, self.records)

    def answer(self, call: Call, instance_url: str) -> Answer:  # noqa: PLR0911 - one return an answer
        """Answer one call as the real service would; counted, and told so in `Sforce-Limit-Info`."""
        path = "/" + call.path.strip("/")
        if path == "/services/oauth2/token":
            self.calls["login"] += 1
            if call.method != "POST":
                return refused(405, "METHOD_NOT_ALLOWED", "must use HTTP POST")
            return self.sessions.log_in(call, instance_url)
        if path == "/services/data":
            return told(_versions())
        by_soap = soap.PATH.match(path)
        if by_soap is not None:
            self.calls["login"] += 1
            return self.sessions.log_in_by_soap(call, instance_url, int(by_soap[1]))
        found = _VERSION.match(path)
        if found is None:
            return not_found()
        if not OLDEST <= int(found[1]) <= NEWEST:
            return refused(404, "NOT_FOUND", f"API version v{found[1]}.0 is not supported")
        if self.sessions.client_of(call) is None:
            self.calls["refused"] += 1
            return refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if not self.allowance.spend():
            self.calls["over"] += 1
            answer = refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        elif call.method not in ("GET", "HEAD"):
            answer = refused(
                405, "METHOD_NOT_ALLOWED", f"HTTP Method '{call.method}' not allowed. Allowed are GET,HEAD"
            )
        else:
            version = f"/services/data/v{found[1]}.0"
            answer = self._route((found[2] or "/").strip("/").split("/"), call, version)
        usage = f"api-usage={self.allowance.used()}/{self.allowance.daily}"
        answer.headers.setdefault("Sforce-Limit-Info", usage)
        return answer

    def table(self, name: str) -> Table | None:
        """Return an object that the integration user may read: the others do not exist for it."""
        return None if name.lower() in self.denied else self._tables.get(name.lower())

    def tables(self) -> Iterable[Table]:
        """Return every object."""
        return self._tables.values()

    def _route(self, parts: list[str], call: Call, version: str) -> Answer:  # noqa: PLR0911 - as above
        kind = parts[0].lower()
        if parts == [""]:
            self.calls["resources"] += 1
            return told({name: f"{version}/{name}" for name in ("limits", "query", "queryAll", "sobjects")})
        if kind == "limits" and len(parts) == 1:
            self.calls["limits"] += 1
            if "limits" in self.denied:
                return refused(403, "API_DISABLED_FOR_ORG", "insufficient permission for the limits resource")
            shown = self.allowance.shown()
            return told({"DailyApiRequests": {"Max": shown["daily"], "Remaining": shown["left"]}})
        if kind in ("query", "queryall"):
            self.calls["query"] += 1
            return self._query(parts, call, version)
        if kind != "sobjects" or len(parts) not in (3, 4):
            return not_found()
        table = self.table(parts[1])
        if table is None:
            return not_found()
        self.calls["row" if len(parts) == 3 else "blob"] += 1
        found = self._find(table, parts[2])
        if isinstance(found, Answer):
            return found
        if len(parts) == 3:
            return _row(table, found, call.query.get("fields"), version)
        if table.blob_field is None or parts[3].lower() != table.blob_field.lower() or found.file is None:
            return not_found()
        self.blobs[found.id] += 1
        return Answer(200, found.file, content_type="application/octetstream")

    def _find(self, table: Table, text: str) -> Record | Answer:
        record_id = canonical(text)
        if record_id is None:
            return refused(400, "MALFORMED_ID", f"malformed id {text[:40]}")
        found = table.find(record_id)
        if found is None or (found.file is not None and not found.file.is_file()):
            self.attachments.load()  # a file may have come or gone since the folder was last read
            found = table.find(record_id)
        return found or not_found()

    def _query(self, parts: list[str], call: Call, version: str) -> Answer:
        text, start = call.query.get("q", ""), 0
        if len(parts) == 2:
            try:
                packed, _, place = parts[1].rpartition("-")
                text, start = base64.urlsafe_b64decode(packed).decode(), int(place)
            except (binascii.Error, UnicodeDecodeError, ValueError):
                return refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        try:
            return self._select(soql.parse(text), text, start, version)
        except soql.MalformedQueryError as error:
            return refused(400, "MALFORMED_QUERY", str(error))

    def _select(self, query: soql.Query, text: str, start: int, version: str) -> Answer:
        table = self.table(query.table)
        if table is None:
            return refused(400, "INVALID_TYPE", f"sObject type '{query.table}' is not supported.")
        if table.filtered_by and not _is_filtered(table, query):
            return refused(400, "MALFORMED_QUERY", _FILTER.format(table=table.name))
        number = int(float(version.rpartition("/v")[2]))
        spelled = {name: table.field_named(name, number) for name in _names(query)}
        if None in spelled.values():
            return _no_such_column(table, next(name for name, known in spelled.items() if known is None))

        def value(record: Record, name: str) -> Any:
            return table.value(record, spelled[name] or name)

        records = [
            record
            for record in table.rows().values()
            if query.holds(lambda name, record=record: value(record, name))  # type: ignore[misc]
        ]
        if query.order is None:
            # No order is promised without ORDER BY (SOQL and SOSL Reference, "ORDER BY"), and none is kept here
            # from page to page: a client that relies on one finds out against this organization.
            records.sort(key=lambda record: hashlib.sha256(f"{start} {record.id}".encode()).digest())
        else:
            order = query.order
            records.sort(
                key=lambda record: (value(record, order) is not None, value(record, order)),
                reverse=query.descending,
            )
        if query.fields == ("COUNT()",):
            return told({"totalSize": len(records), "done": True, "records": []})
        records = records[: query.limit]
        page, end = records[start : start + PAGE], start + PAGE
        answer: dict[str, Any] = {
            "totalSize": len(records),
            "done": end >= len(records),
            "records": [
                _shown(table, record, [spelled[name] or name for name in query.fields], version)
                for record in page
            ],
        }
        if not answer["done"]:
            locator = base64.urlsafe_b64encode(text.encode()).decode()
            answer["nextRecordsUrl"] = f"{version}/query/{locator}-{end}"
        return told(answer)


def _names(query: soql.Query) -> list[str]:
    fields = () if query.fields == ("COUNT()",) else query.fields
    asked = [*fields, *(condition.field for condition in query.where)]
    return [*asked, query.order] if query.order else asked


def _is_filtered(table: Table, query: soql.Query) -> bool:
    return any(
        condition.field.lower() in table.filtered_by and condition.sign == "=" for condition in query.where
    )


def _row(table: Table, record: Record, fields: str | None, version: str) -> Answer:
    if fields is None:
        return told(_shown(table, record, table.fields, version))
    names = []
    for text in filter(None, map(str.strip, fields.split(","))):
        name = table.field_named(text)
        if name is None:
            return _no_such_column(table, text)
        names.append(name)
    return told(_shown(table, record, dict.fromkeys([*names, "Id"]), version))


def _shown(table: Table, record: Record, names: Iterable[str], version: str) -> dict[str, Any]:
    url = f"{version}/sobjects/{table.name}/{record.id}"
    shown: dict[str, Any] = {"attributes": {"type": table.name, "url": url}}
    for name in names:
        value = table.value(record, name)
        shown[name] = value.format(version=version) if name == table.blob_field else value
    return shown


def _no_such_column(table: Table, name: str) -> Answer:
    return refused(400, "INVALID_FIELD", f"No such column '{name[:80]}' on sobject of type {table.name}")


def _versions() -> list[dict[str, str]]:
    return [
        {"label": f"Version {number}", "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
        for number in range(OLDEST, NEWEST + 1)
    ]

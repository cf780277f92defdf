"""Answer the control endpoint, by which tests and people steer the simulation. It needs no session.

POST   /_control/faults        {"kind": …, …}: one fault or a list of them (see `faults`)
GET    /_control/faults        what is in force and how often it was met
DELETE /_control/faults[/N]    lift all, or one
GET    /_control/stats         calls by kind, logins, blobs by id
DELETE /_control/stats         count anew
POST   /_control/attachments   {"name", "content_base64" or "path", "content_type"?, "parent_id"?, "fields"?, "seed"?}
GET    /_control/attachments   every attachment: id, name, file, bytes
POST   /_control/records       {"type", "fields", "content_base64" or "path"?, "seed"?}: a Case, EmailMessage,
                               Document, ContentVersion or ContentDocumentLink; one or a list of them
GET    /_control/records       how many there are of each object
DELETE /_control/records/ID    delete one of them
POST   /_control/clients       {"client_id", "client_secret"?, "public_key"?, "refresh_token"?}
POST   /_control/users         {"username", "password", "security_token"?}: for logins by password and JWT
GET    /_control/sessions      how many are open and how they live
PUT    /_control/sessions      {"seconds"?, "logins_an_hour"?, "instance_url"?}
DELETE /_control/sessions      forget every session
GET    /_control/limits        what is used and left
PUT    /_control/limits        {"daily"?, "window_seconds"?, "used"?, "concurrent"?}
PUT    /_control/permissions   {"denied": [object, …]}: what the integration user may not read; "limits" too
GET    /_control/calls         the latest calls, as recorded
DELETE /_control/calls         forget them
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.salesforce.api import Api
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.journal import Journal
from sandbox.salesforce.messages import Answer, Call, refused, told
from sandbox.salesforce.tables import Record

PREFIX = "/_control/"


@dataclass(frozen=True, slots=True)
class Org:
    """Everything that an order may touch."""

    api: Api
    faults: Faults
    journal: Journal


def answer(call: Call, api: Api, faults: Faults, journal: Journal) -> Answer:
    """Carry out one order; a mistake in it is told in a sentence."""
    noun, _, rest = call.path.removeprefix(PREFIX).strip("/").partition("/")
    order = _ORDERS.get((call.method, noun))
    if order is None:
        return refused(404, "NOT_FOUND", "no such order; see sandbox/salesforce/control.py")
    try:
        asked = json.loads(call.body) if call.body else {}
        return order(asked, rest, Org(api, faults, journal))
    except KeyError as error:
        return refused(400, "INVALID_ORDER", f"{error.args[0]} is missing")
    except (ValueError, TypeError, OSError, binascii.Error) as error:
        return refused(400, "INVALID_ORDER", str(error))


def _add_faults(asked: Any, _rest: str, org: Org) -> Answer:
    many = asked if isinstance(asked, list) else [asked]
    shown = [org.faults.add(one).shown() for one in many]
    return told(shown if isinstance(asked, list) else shown[0])


def _list_faults(_asked: Any, _rest: str, org: Org) -> Answer:
    return told(org.faults.shown())


def _lift_faults(_asked: Any, rest: str, org: Org) -> Answer:
    org.faults.clear(int(rest) if rest else None)
    return told(org.faults.shown())


def _show_stats(_asked: Any, _rest: str, org: Org) -> Answer:
    api = org.api
    return told({"calls": dict(api.calls), "logins": api.sessions.logins, "blobs": dict(api.blobs)})


def _clear_stats(asked: Any, rest: str, org: Org) -> Answer:
    org.api.calls.clear()
    org.api.blobs.clear()
    org.api.sessions.logins = 0
    return _show_stats(asked, rest, org)


def _add_attachment(asked: Any, _rest: str, org: Org) -> Answer:
    values = dict(asked.get("fields", {}))
    if "content_type" in asked:
        values["ContentType"] = asked["content_type"]
    if "parent_id" in asked:
        values["parent_id"] = asked["parent_id"]
    blob = _blob(asked)
    if blob is None:
        raise KeyError("content_base64")
    return told(_shown(org.api.attachments.add(asked["name"], blob, values, seed=asked.get("seed"))))


def _list_attachments(_asked: Any, _rest: str, org: Org) -> Answer:
    org.api.attachments.load()
    return told([_shown(record) for record in org.api.attachments.rows().values()])


def _add_records(asked: Any, _rest: str, org: Org) -> Answer:
    many = asked if isinstance(asked, list) else [asked]
    records = org.api.records
    added = [
        records.add(one["type"], dict(one.get("fields", {})), blob=_blob(one), seed=one.get("seed"))
        for one in many
    ]
    shown = [{"id": record.id, "fields": record.values} for record in added]
    return told(shown if isinstance(asked, list) else shown[0])


def _count_records(_asked: Any, _rest: str, org: Org) -> Answer:
    return told({table.name: len(table.rows()) for table in org.api.tables()})


def _delete_record(_asked: Any, rest: str, org: Org) -> Answer:
    if not org.api.records.remove(rest) and not org.api.attachments.remove(rest):
        return refused(404, "NOT_FOUND", "there is no added record of this id")
    return told({})


def _admit_client(asked: Any, _rest: str, org: Org) -> Answer:
    client_id = asked["client_id"]
    org.api.sessions.admit(client_id, **{name: value for name, value in asked.items() if name != "client_id"})
    return told({"client_id": client_id})


def _add_user(asked: Any, _rest: str, org: Org) -> Answer:
    org.api.sessions.identities.add_user(
        asked["username"], password=asked["password"], security_token=asked.get("security_token", "")
    )
    return told({"username": asked["username"]})


def _show_sessions(_asked: Any, _rest: str, org: Org) -> Answer:
    return told(org.api.sessions.shown())


def _set_sessions(asked: Any, _rest: str, org: Org) -> Answer:
    org.api.sessions.set(asked)
    return told(org.api.sessions.shown())


def _end_sessions(_asked: Any, _rest: str, org: Org) -> Answer:
    org.api.sessions.expire()
    return told({})


def _show_limits(_asked: Any, _rest: str, org: Org) -> Answer:
    return told(org.api.allowance.shown())


def _set_limits(asked: Any, _rest: str, org: Org) -> Answer:
    org.api.allowance.set(asked)
    return told(org.api.allowance.shown())


def _set_permissions(asked: Any, _rest: str, org: Org) -> Answer:
    org.api.denied = {str(name).lower() for name in asked["denied"]}
    return told({"denied": sorted(org.api.denied)})


def _show_calls(_asked: Any, _rest: str, org: Org) -> Answer:
    return told(org.journal.shown())


def _forget_calls(_asked: Any, _rest: str, org: Org) -> Answer:
    org.journal.clear()
    return told([])


def _blob(asked: Any) -> bytes | None:
    if "path" in asked:
        return Path(asked["path"]).read_bytes()
    if "content_base64" in asked:
        return base64.b64decode(asked["content_base64"], validate=True)
    return None


def _shown(record: Record) -> dict[str, Any]:
    file = record.file
    return {
        "id": record.id,
        "name": record.values.get("Name"),
        "parent_id": record.values.get("ParentId"),
        "file": None if file is None else str(file),
        "bytes": file.stat().st_size if file is not None and file.is_file() else None,
    }


_ORDERS: dict[tuple[str, str], Callable[[Any, str, Org], Answer]] = {
    ("POST", "faults"): _add_faults,
    ("GET", "faults"): _list_faults,
    ("DELETE", "faults"): _lift_faults,
    ("GET", "stats"): _show_stats,
    ("DELETE", "stats"): _clear_stats,
    ("POST", "attachments"): _add_attachment,
    ("GET", "attachments"): _list_attachments,
    ("POST", "records"): _add_records,
    ("GET", "records"): _count_records,
    ("DELETE", "records"): _delete_record,
    ("POST", "clients"): _admit_client,
    ("POST", "users"): _add_user,
    ("GET", "sessions"): _show_sessions,
    ("PUT", "sessions"): _set_sessions,
    ("DELETE", "sessions"): _end_sessions,
    ("GET", "limits"): _show_limits,
    ("PUT", "limits"): _set_limits,
    ("PUT", "permissions"): _set_permissions,
    ("GET", "calls"): _show_calls,
    ("DELETE", "calls"): _forget_calls,
}

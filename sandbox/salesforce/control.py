"""Answer the control endpoint, by which tests and people steer the simulation. It needs no session.

POST   /_control/faults        {"kind": …, …}: one fault or a list of them (see `faults`)
GET    /_control/faults        what is in force and how often it was met
DELETE /_control/faults[/N]    lift all, or one
GET    /_control/stats         calls by kind, logins, blobs by id
DELETE /_control/stats         count anew
POST   /_control/attachments   {"name", "content_base64" or "path", "content_type"?, "parent_id"?, "fields"?, "seed"?}
GET    /_control/attachments   every attachment: id, name, file, bytes
POST   /_control/clients       {"client_id", "client_secret"}: a further client, or a new secret
DELETE /_control/sessions      forget every session
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.salesforce.api import Api
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.messages import Answer, Call, refused, told
from sandbox.salesforce.tables import Record

PREFIX = "/_control/"


def answer(call: Call, api: Api, faults: Faults) -> Answer:
    """Carry out one order; a mistake in it is told in a sentence."""
    noun, _, rest = call.path.removeprefix(PREFIX).strip("/").partition("/")
    order = _ORDERS.get((call.method, noun))
    if order is None:
        return refused(404, "NOT_FOUND", "no such order; see sandbox/salesforce/control.py")
    try:
        asked = json.loads(call.body) if call.body else {}
        return order(asked, rest, api, faults)
    except KeyError as error:
        return refused(400, "INVALID_ORDER", f"{error.args[0]} is missing")
    except (ValueError, TypeError, OSError, binascii.Error) as error:
        return refused(400, "INVALID_ORDER", str(error))


def _add_faults(asked: Any, _rest: str, _api: Api, faults: Faults) -> Answer:
    many = asked if isinstance(asked, list) else [asked]
    shown = [faults.add(one).shown() for one in many]
    return told(shown if isinstance(asked, list) else shown[0])


def _list_faults(_asked: Any, _rest: str, _api: Api, faults: Faults) -> Answer:
    return told(faults.shown())


def _lift_faults(_asked: Any, rest: str, _api: Api, faults: Faults) -> Answer:
    faults.clear(int(rest) if rest else None)
    return told(faults.shown())


def _show_stats(_asked: Any, _rest: str, api: Api, _faults: Faults) -> Answer:
    return told({"calls": dict(api.calls), "logins": api.sessions.logins, "blobs": dict(api.blobs)})


def _clear_stats(asked: Any, rest: str, api: Api, faults: Faults) -> Answer:
    api.calls.clear()
    api.blobs.clear()
    api.sessions.logins = 0
    return _show_stats(asked, rest, api, faults)


def _add_attachment(asked: Any, _rest: str, api: Api, _faults: Faults) -> Answer:
    if "path" in asked:
        blob = Path(asked["path"]).read_bytes()
    else:
        blob = base64.b64decode(asked["content_base64"], validate=True)
    values = dict(asked.get("fields", {}))
    if "content_type" in asked:
        values["ContentType"] = asked["content_type"]
    if "parent_id" in asked:
        values["parent_id"] = asked["parent_id"]
    return told(_shown(api.attachments.add(asked["name"], blob, values, seed=asked.get("seed"))))


def _list_attachments(_asked: Any, _rest: str, api: Api, _faults: Faults) -> Answer:
    api.attachments.load()
    return told([_shown(record) for record in api.attachments.rows().values()])


def _admit_client(asked: Any, _rest: str, api: Api, _faults: Faults) -> Answer:
    api.sessions.admit(asked["client_id"], asked["client_secret"])
    return told({"client_id": asked["client_id"]})


def _end_sessions(_asked: Any, _rest: str, api: Api, _faults: Faults) -> Answer:
    api.sessions.expire()
    return told({})


def _shown(record: Record) -> dict[str, Any]:
    file = record.file
    return {
        "id": record.id,
        "name": record.values.get("Name"),
        "parent_id": record.values.get("ParentId"),
        "file": None if file is None else str(file),
        "bytes": file.stat().st_size if file is not None and file.is_file() else None,
    }


_ORDERS: dict[tuple[str, str], Callable[[Any, str, Api, Faults], Answer]] = {
    ("POST", "faults"): _add_faults,
    ("GET", "faults"): _list_faults,
    ("DELETE", "faults"): _lift_faults,
    ("GET", "stats"): _show_stats,
    ("DELETE", "stats"): _clear_stats,
    ("POST", "attachments"): _add_attachment,
    ("GET", "attachments"): _list_attachments,
    ("POST", "clients"): _admit_client,
    ("DELETE", "sessions"): _end_sessions,
}

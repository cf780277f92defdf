"""Show the organization on a page of its own: records, limits, sessions, calls, and faults to put in force.

Everything on it is a form of plain HTML that gives one order of the control endpoint (see `control`) and
comes back. The page is for a person on this machine, and holds no secret and no token.
"""

from __future__ import annotations

import html
import json
import time
from collections.abc import Iterable
from typing import Any

from sandbox.salesforce import control
from sandbox.salesforce.api import Api
from sandbox.salesforce.faults import KINDS, Faults
from sandbox.salesforce.journal import Journal
from sandbox.salesforce.messages import Answer, Call

PATHS = ("/", "/_control", "/_control/page")
CALLS, RECORDS = 50, 25
_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1b1f24}"
    "h1{font-size:1.4rem}h2{font-size:1.05rem;margin-top:2rem}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}"
    "code{font-size:12px}form{display:inline-block;margin:.2rem .8rem .2rem 0}input{width:7rem}.bad{color:#b3261e}"
)


def answer(call: Call, api: Api, faults: Faults, journal: Journal) -> Answer:
    """Show the page; a form that was sent is carried out first and answered by a way back to it."""
    if call.method != "POST":
        return Answer(200, _page(api, faults, journal).encode(), content_type="text/html;charset=UTF-8")
    if call.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return Answer(403, b"only this page's own forms", content_type="text/plain")  # another site's form
    form = call.form()
    order = {name: _value(text) for name, text in form.items() if text and not name.startswith("_")}
    method, noun = form.get("_method", "POST"), form.get("_noun", "")
    asked = Call(method, f"{control.PREFIX}{noun}", {}, {}, json.dumps(order).encode() if order else b"")
    carried_out = control.answer(asked, api, faults, journal)
    if carried_out.status != 200:
        return carried_out
    return Answer(303, headers={"Location": "/"})


def _page(api: Api, faults: Faults, journal: Journal) -> str:
    limits, sessions = api.allowance.shown(), api.sessions.shown()
    parts = [
        "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>Simulated Salesforce</title>",
        f"<style>{_STYLE}</style></head><body><h1>Simulated Salesforce</h1>",
        f"<p>{limits['used']} of {limits['daily']} calls used in {limits['window_seconds']:g} s, "
        f"{limits['left']} left; {limits['in_flight']} in flight, at most {limits['concurrent']}. "
        f"{sessions['open']} sessions of {sessions['seconds']:g} s, {api.sessions.logins} logins.</p>",
        _form("PUT", "limits", "Set limits", ("daily", "window_seconds", "used", "concurrent")),
        _form("PUT", "sessions", "Set sessions", ("seconds", "logins_an_hour")),
        _form("DELETE", "sessions", "End every session"),
        "<h2>Faults</h2>",
        _fault_form(),
        "".join(
            _form("POST", "faults", label, hidden=order)
            for label, order in (
                ("One 503", {"kind": "status", "status": 503}),
                ("Outage", {"kind": "status", "status": 503, "times": "null"}),
                ("Day's limit once", {"kind": "limit_exceeded"}),
                ("Truncate a body", {"kind": "truncate", "path": "/(Body|VersionData)$"}),
                ("Login page with 200", {"kind": "html200"}),
                ("Sessions expire", {"kind": "expire_sessions"}),
            )
        ),
        _form("DELETE", "faults", "Lift all"),
        _table(
            ("fault", "kind", "what", "times", "met"),
            (
                (
                    one["fault"],
                    one["kind"],
                    json.dumps({k: v for k, v in one.items() if k not in ("fault", "kind", "times", "met")}),
                    "for ever" if one["times"] is None else one["times"],
                    one["met"],
                )
                for one in faults.shown()
            ),
        ),
        "<h2>Records</h2>",
        _table(("object", "rows"), ((one.name, len(one.rows())) for one in api.tables())),
        _table(
            ("id", "name", "hangs on"),
            (
                (one.id, one.values.get("Name") or one.values.get("PathOnClient"), one.values.get("ParentId"))
                for one in [*api.attachments.rows().values(), *api.records.rows("ContentVersion").values()][
                    :RECORDS
                ]
            ),
        ),
        "<h2>Calls</h2>",
        _form("DELETE", "calls", "Forget calls"),
        _table(
            ("at", "call", "client", "status", "ms", "fault"),
            (
                (
                    time.strftime("%H:%M:%S", time.localtime(one["at"])),
                    f"{one['method']} {one['path']} {one['query'] or ''}",
                    one["client_id"],
                    one["status"],
                    one["milliseconds"],
                    one["fault"],
                )
                for one in reversed(journal.shown()[-CALLS:])
            ),
        ),
        "</body></html>",
    ]
    return "".join(parts)


def _fault_form() -> str:
    kinds = "".join(f"<option>{kind}</option>" for kind in KINDS)
    fields = "".join(
        f"<input name={name} placeholder={name}>"
        for name in ("code", "path", "id", "status", "seconds", "after_bytes", "bytes_per_second", "times")
    )
    return (
        "<form method=post><input type=hidden name=_noun value=faults>"
        f"<select name=kind>{kinds}</select> {fields} <button>Put in force</button></form><br>"
    )


def _form(
    method: str, noun: str, label: str, fields: Iterable[str] = (), *, hidden: dict[str, Any] | None = None
) -> str:
    kept = {"_method": method, "_noun": noun, **(hidden or {})}
    inputs = "".join(
        f'<input type=hidden name={name} value="{html.escape(str(v))}">' for name, v in kept.items()
    )
    inputs += "".join(f"<input name={name} placeholder={name}>" for name in fields)
    return f"<form method=post>{inputs}<button>{html.escape(label)}</button></form>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    told = "".join(f"<th>{head}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{told}</tr>{body}</table>"


def _cell(value: Any) -> str:
    return "" if value is None else f"<code>{html.escape(str(value))}</code>"


def _value(text: str) -> Any:
    """Read a field of a form as JSON where it is a number or null, else as the text that it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if value is None or isinstance(value, int | float) else text

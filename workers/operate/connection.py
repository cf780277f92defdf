"""Try an organization's Salesforce step by step, as its imports would, and say what is missing and where to grant it.

Every step is one call, made like those of an import: the same login, the same wire, the same verdicts. What
fails is told with the page of Salesforce's Setup on which to mend it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from simple_salesforce.format import format_soql

from common.documents.database import Document
from common.settings import Settings
from common.telemetry.checks import Check, State
from workers.credentials import Credentials
from workers.deadlines import Deadline
from workers.failures import Failure
from workers.sources import Sources
from workers.sources.salesforce.attempt import Attempt
from workers.sources.salesforce.org import SalesforceOrg

SECONDS = 60.0
NO_RECORD = "500000000000000AAA"
"""An id that no Case has: what is asked for by it is empty, and that it may be asked is what counts."""
_OBJECTS = (
    ("Case", "SELECT Id FROM Case WHERE Id = {}"),
    ("Attachment", "SELECT Id, Name, BodyLength FROM Attachment WHERE ParentId = {}"),
    ("EmailMessage", "SELECT Id FROM EmailMessage WHERE ParentId = {}"),
    ("ContentDocumentLink", "SELECT ContentDocumentId FROM ContentDocumentLink WHERE LinkedEntityId = {}"),
    ("ContentVersion", "SELECT Id, ContentSize FROM ContentVersion WHERE ContentDocumentId = {}"),
)
_ADVICE = {
    "salesforce_credentials": "Setup > App Manager (or External Client App Manager) > the app > OAuth settings: check"
    " id and secret, the flow, and the user it runs as.",
    "salesforce_session_refused": "Setup > the app > OAuth scopes (api) and IP relaxation; Setup > Profiles > the"
    " integration user's > Session Settings and Login IP Ranges.",
    "salesforce_certificate": "Check the URL; name your own authorities with SALESFORCE_CA_FILE.",
    "salesforce_api_version": "Choose another with `imports organization update ID --api-version V`.",
    "attachment_refused": "Setup > Permission Sets > the integration user's > System Permissions: API Enabled.",
    "salesforce_quota": "Setup > Company Information shows who uses the calls; wait, or buy more.",
    "salesforce_login_limit": "Setup > Login History shows who logs in so often; the limit is an hour long.",
}


@dataclass(slots=True)
class Found:
    """What all steps came to."""

    steps: list[Check] = field(default_factory=list)
    calls: int = 0
    usage: dict[str, int] | None = None

    @property
    def ok(self) -> bool:
        """Whether imports can be done."""
        return all(step.state != "bad" for step in self.steps)

    def presented(self) -> dict[str, Any]:
        """Show it to a machine."""
        return {
            "ok": self.ok,
            "steps": [asdict(step) for step in self.steps],
            "usage": self.usage,
            "calls": self.calls,
        }


def checked(organization: Document, *, credentials: Credentials, settings: Settings) -> Found:
    """Try an organization by itself, sharing no session with the workers: its login is tried as well."""
    found = Found()
    sources = Sources(
        credentials=credentials,
        api_version=settings.salesforce_api_version,
        pool_size=1,
        ca_file=settings.salesforce_ca_file,
    )
    try:
        source = sources.of(organization)
    except Failure as failure:
        found.steps.append(_amiss("credentials", failure))
        return found
    try:
        if isinstance(source, SalesforceOrg):
            _try(source, found)
        else:
            found.steps.append(Check("source", "warning", "It is no Salesforce, so nothing was tried."))
    finally:
        sources.close()
    return found


def _try(org: SalesforceOrg, found: Found) -> None:
    deadline = Deadline(SECONDS, stopping=threading.Event())
    seen: list[tuple[int, int]] = []
    org.wire.told = lambda used, limit: seen.append((used, limit))
    attempt = Attempt(org, NO_RECORD, deadline)
    try:
        org.sessions.current(deadline)
    except Failure as failure:
        found.steps.append(_amiss("login", failure))
        return
    found.steps.append(Check("login", "ok", "A session was given."))
    if _tried(found, f"API version {org.api_version}", lambda: attempt.rest("")):
        _limits(attempt, found)
        for name, query in _OBJECTS:
            asked = format_soql(query, NO_RECORD)
            _tried(found, name, lambda asked=asked: attempt.page(asked, None))  # type: ignore[misc]
    if seen:
        used, limit = seen[-1]
        found.usage = {"used": used, "limit": limit, "left": max(0, limit - used)}
        share = f"{used} of {limit} used in the last 24 hours, by everybody."
        state: State = "warning" if used > 0.8 * limit else "ok"
        found.steps.append(
            Check("API calls", state, share, "" if state == "ok" else _ADVICE["salesforce_quota"])
        )
    found.calls = attempt.calls


def _limits(attempt: Attempt, found: Found) -> None:
    try:
        attempt.rest("limits")
    except Failure:
        advice = (
            "Nothing must be done: each answer tells the numbers. To see them here, Setup > Permission Sets >"
        )
        advice += " System Permissions: View Setup and Configuration."
        found.steps.append(Check("limits", "warning", "The user may not read the limits resource.", advice))
    else:
        found.steps.append(Check("limits", "ok", "They can be read."))


def _tried(found: Found, name: str, call: Callable[[], Any]) -> bool:
    try:
        call()
    except Failure as failure:
        found.steps.append(_amiss(name, failure))
        return False
    found.steps.append(Check(name, "ok", "It can be read."))
    return True


def _amiss(name: str, failure: Failure) -> Check:
    advice = _ADVICE.get(failure.code, "")
    if failure.code in ("salesforce_object_hidden", "salesforce_request_refused"):
        advice = f"Setup > Permission Sets > the integration user's > Object Settings > {_setting(name)}."
    return Check(name, "bad", failure.detail, advice)


def _setting(name: str) -> str:
    """Return where in Setup the right to read an object is given."""
    if name.startswith("Content"):
        return "nothing is set for Files themselves: give Read on Case, and let the Cases be shared with the user"
    if name == "Attachment":
        return "Cases: Read (attachments follow the record they hang on)"
    return {"EmailMessage": "Cases and Email Messages: Read"}.get(name, f"{name}s: Read")

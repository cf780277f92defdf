"""Carry one sample import to its end and show it: the states as they pass, where to look, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import requests

from sandbox.door import Door, DoorError
from sandbox.organization import Salesforce
from sandbox.output import Output
from sandbox.salesforce.tables import SAMPLE_CASE_ID, attachment_id

PATIENCE, PATIENCE_BEHIND_OTHERS = 60, 10  # seconds
ENDS = ("succeeded", "failed", "canceled")
SHOWN, NEXT = "hills-at-noon.jpg", "upright-phone-photo.jpg"
NEWEST_PICTURE = (
    "SELECT Id, Name FROM Attachment WHERE ContentType IN ('image/jpeg', 'image/png') "
    "ORDER BY CreatedDate DESC LIMIT 2"
)


class Until(Protocol):
    """Wait until something holds, at most some seconds; False when it took too long."""

    def __call__(self, holds: Callable[[], bool], *, what: str, seconds: float) -> bool: ...


def parameters(attachment_id: str, filename: str) -> dict[str, str]:
    """Return the five parameters of an import, as the first clients of this interface send them."""
    return {
        "album_id": SAMPLE_CASE_ID,
        "filename": filename,
        "import_type": "salesforce",
        "metadatas[attachmentId]": attachment_id,
        "attachment_id": attachment_id,
    }


def attachments(salesforce: Salesforce, pictures: Path | None) -> list[tuple[str, str]]:
    """Return (id, name) of a picture to import now and of one to import next; fewer where there are fewer.

    The simulated Salesforce is known by heart; another one is asked for its newest pictures.
    """
    if not salesforce.simulated:
        return _newest(salesforce)
    own = next((file for file in sorted(pictures.rglob("*")) if file.is_file()), None) if pictures else None
    following = (attachment_id(f"sample/{NEXT}"), NEXT)
    if own is not None and pictures is not None:
        name = own.relative_to(pictures).as_posix()
        following = (attachment_id(f"pictures/{name}"), own.name)
    return [(attachment_id(f"sample/{SHOWN}"), SHOWN), following]


def carry(
    door: Door, attachment: tuple[str, str], output: Output, until: Until, *, unfinished: int
) -> dict[str, Any] | None:
    """Import one picture and wait for the end; None where it did not end in time or the door refused.

    `unfinished`: how many imports an earlier start has left to its organization. They may have their turn
    first, and nobody is kept from a world that is up for as long as that takes.
    """
    seconds = PATIENCE_BEHIND_OTHERS if unfinished else PATIENCE
    try:
        imported = door.post(parameters(*attachment))
    except DoorError as error:
        output.say(f"the sample import could not be asked for: {error}")
        return None
    output.say(f"sample import {imported['id']} of {attachment[1]}")
    if unfinished:
        others = "1 earlier import" if unfinished == 1 else f"{unfinished} earlier imports"
        output.say(f"  {others} of its organization, not ended yet, may come first")
    seen: list[str] = []

    def is_over() -> bool:
        try:
            imported.update(door.show(imported["id"]))
        except DoorError:
            return False  # the web process may be coming back after a kill
        status = str(imported.get("status"))
        if status not in seen:
            seen.append(status)
            output.say(f"  {status}")
        return status in ENDS

    if not until(is_over, what="the sample import to end", seconds=seconds):
        if unfinished:
            output.say(f"the sample import is still behind others; see it come at {door.dashboard_url}")
            return None
        output.say(f"the sample import has not ended within {seconds:.0f} s; `imports show` tells why")
        return None
    if imported["status"] == "succeeded":
        output.say(f"image {imported.get('image_id')}; look at it at {door.dashboard_url}")
    else:
        reason = imported.get("error") or {}
        output.say(f"the sample import {imported['status']}: {reason.get('code')}, {reason.get('detail')}")
    return imported


def curl(door: Door, attachment: tuple[str, str]) -> str:
    """Return a command that a person can paste to import a picture."""
    authorization = f'Authorization: Token token="{door.token}"'
    lines = [f"curl -H {shlex.quote(authorization)}"]
    lines += [
        f"--data-urlencode {shlex.quote(f'{name}={text}')}" for name, text in parameters(*attachment).items()
    ]
    return " \\\n  ".join([*lines, f"{door.base_url}/api/v1/imports"])


def _newest(salesforce: Salesforce) -> list[tuple[str, str]]:
    """Ask a Salesforce for its newest pictures; none when it does not answer, which the import will tell better."""
    try:
        login = requests.post(
            f"{salesforce.url}/services/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(salesforce.client_id, salesforce.client_secret),
            timeout=10,
        )
        login.raise_for_status()
        session = login.json()
        answer = requests.get(
            f"{session.get('instance_url', salesforce.url)}/services/data/v65.0/query",
            params={"q": NEWEST_PICTURE},
            headers={"Authorization": f"Bearer {session['access_token']}"},
            timeout=10,
        )
        answer.raise_for_status()
        return [(str(row["Id"]), str(row["Name"])) for row in answer.json()["records"]]
    except (requests.RequestException, ValueError, KeyError):
        return []

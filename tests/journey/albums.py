"""Fill a Case of the simulated Salesforce for a test, and import it as a group by HTTP."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

from PIL import Image

from tests.world import World

GROUPS = "/api/v1/import_groups"


def picture(number: int) -> bytes:
    """Return a small JPEG that no other number gives."""
    written = BytesIO()
    shade = (number * 37 % 256, number * 91 % 256, number // 256 % 256)
    Image.new("RGB", (64, 48), shade).save(written, "JPEG", comment=str(number).encode())
    return written.getvalue()


def keep(world: World, kind: str, content: bytes | None = None, **fields: Any) -> str:
    """Add a record and return its id."""
    order: dict[str, Any] = {"type": kind, "fields": fields}
    if content is not None:
        order["content_base64"] = base64.b64encode(content).decode()
    return str(world.control("POST", "records", order)["id"])


def fill(world: World, amount: int) -> tuple[str, set[str]]:
    """Hang pictures on a new Case: attachments, files, and attachments of mails by turns. Returns both ids."""
    case_id = keep(world, "Case", Subject="An album")
    mail = keep(world, "EmailMessage", ParentId=case_id)
    records = set()
    for number in range(amount):
        content, name = picture(number), f"{case_id}-{number}.jpg"
        if number % 3 == 0:
            made = keep(world, "ContentVersion", content, PathOnClient=name, FirstPublishLocationId=case_id)
        else:
            made = world.attach(name, content, parent_id=case_id if number % 3 == 1 else mail)
        records.add(made)
    return case_id, records


def ask(world: World, album_id: str, query: str = "", **options: Any) -> dict[str, Any]:
    """Ask for a group (or try it out) and return the answer."""
    answer = world.http.post(
        f"{world.url}{GROUPS}{query}", json={"album_id": album_id, **options}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def look(world: World, group_id: str, more: str = "") -> dict[str, Any]:
    """Read a group, or something below it."""
    answer = world.http.get(f"{world.url}{GROUPS}/{group_id}{more}", timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def finished(world: World, group_id: str, *, seconds: float = 60.0) -> dict[str, Any]:
    """Wait until every import of a group has ended and return the group."""

    def ended() -> dict[str, Any] | None:
        group = look(world, group_id)
        return group if group["status"] in ("finished", "failed") else None

    return dict(world.until(ended, seconds=seconds))


def members(world: World, group_id: str, *, limit: int = 100) -> list[dict[str, Any]]:
    """Return all imports of a group, page by page."""
    found, more = [], f"{GROUPS}/{group_id}/imports?limit={limit}"
    while more:
        page = world.http.get(world.url + more, timeout=30).json()
        assert len(page["data"]) <= limit
        found += page["data"]
        more = page["links"]["next"]
    return found

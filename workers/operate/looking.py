"""`imports list` and `imports show`: what became of imports, and why one waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.documents.statuses import STATUSES
from workers.operate.opening import Hands
from workers.operate.printing import Json, Trouble, answer, fields, lasting, line, news, shown, table

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from common.documents.database import Document

Status = Enum("Status", [(status, status) for status in STATUSES], type=str)  # type: ignore[misc]

Organization = Annotated[
    str | None, typer.Option("--organization", metavar="ID", help="Only those of this organization.")
]
Code = Annotated[
    str | None, typer.Option("--code", metavar="CODE", help="Only those that failed with this error code.")
]


def register(app: typer.Typer) -> None:
    app.command("list")(list_)
    app.command("show")(show)


def list_(  # noqa: PLR0913 - an option each
    ctx: typer.Context,
    *,
    status: Annotated[Status | None, typer.Option("--status", help="Only those in this state.")] = None,
    organization: Organization = None,
    code: Code = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    json: Json = False,
) -> None:
    """List imports, the latest first.

    Examples: `imports list --status failed` · `imports list --code image_corrupt --limit 100`
    """
    from common.documents.overview import LISTED
    from workers.operate import story

    hands: Hands = ctx.obj
    match = matching(organization=organization, code=code)
    if status is not None:
        match["status"] = status.value
    now, zone = hands.clock(), hands.settings.time_zone
    found = hands.overview.latest(match=match, limit=limit, now=now, fields=LISTED)
    if json:
        answer([story.summary(import_, zone) for import_ in found])
        return
    table(("ID", "ACCEPTED", "STATUS", "CODE OR REASON", "TRIES", "ORGANIZATION"), _rows(found, zone))
    if not found:
        news("No import fits.")


def show(
    ctx: typer.Context,
    *,
    id: Annotated[str, typer.Argument(metavar="ID", help="The import's id.")],  # noqa: A002
    json: Json = False,
) -> None:
    """Tell the whole story of one import: what happened, why it waits, what happens next."""
    from workers.operate import story

    hands: Hands = ctx.obj
    import_, zone = existing(hands, id), hands.settings.time_zone
    if json:
        answer(story.told(import_, zone))
        return
    organization = hands.organizations.find(import_["organization_id"])
    _head(import_, organization, zone)
    line("")
    line(story.outlook(import_, organization, now=hands.clock(), zone=zone))
    line("")
    begun = import_["created_at"]
    table(("WHEN", "AFTER", "WHAT", ""), (_event(entry, begun, zone) for entry in import_["history"]))
    if import_["image_id"] is not None:
        _image(hands.images.find(import_["image_id"]))


def existing(hands: Hands, import_id: str) -> Document:
    """Return an import. Raises Trouble where there is none such."""
    found = hands.imports.find(import_id.strip().lower())
    if found is None:
        raise Trouble(f"There is no import {import_id!r}: see `imports list`.")
    return found


def matching(*, organization: str | None, code: str | None) -> dict[str, Any]:
    """Return the part of a query that both lists and bulk retries share."""
    match: dict[str, Any] = {}
    if organization is not None:
        match["organization_id"] = organization.strip().lower()
    if code is not None:
        match["error.code"] = code
    return match


def _rows(imports: Sequence[Document], zone: ZoneInfo) -> list[tuple[Any, ...]]:
    return [
        (
            one["_id"],
            shown(one["created_at"], zone),
            one["status"],
            (one["error"] or {}).get("code") or one["waiting_for"],
            one["fence"],
            one["organization_id"],
        )
        for one in imports
    ]


def _head(import_: Document, organization: Document | None, zone: ZoneInfo) -> None:
    from workers.operate import story

    name = "" if organization is None else f" ({organization['name']})"
    original = import_["original"]
    fields(
        {
            "import": import_["_id"],
            "status": import_["status"],
            "organization": import_["organization_id"] + name,
            "record": import_["record_id"],
            "file": import_["filename"],
            "album": import_["album_id"],
            "accepted": shown(import_["created_at"], zone),
            "request": import_["request_id"],
            "original": original and f"{original['bytes']:,} bytes, stored",
            "tries": story.counted(import_),
        }
    )


def _event(entry: Document, begun: datetime, zone: ZoneInfo) -> tuple[Any, ...]:
    from workers.operate import story

    after = lasting((entry["at"] - begun).total_seconds())
    return shown(entry["at"], zone), f"+{after}", entry["event"], story.happened(entry)


def _image(image: Document | None) -> None:
    line("")
    if image is None:
        line("Its image entry is missing: `imports doctor`, then look at the store's backups.")
        return
    line(f"Image {image['_id']}: {image['width']} x {image['height']}, {image['content_type']}")
    sizes = ((one["name"], f"{one['width']} x {one['height']}", f"{one['bytes']:,} bytes") for one in image["thumbnails"])  # fmt: skip
    table(("THUMBNAIL", "SIZE", ""), sizes)

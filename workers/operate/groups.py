"""`imports group list | show | cancel`: look at import groups, end one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.documents.statuses import OPEN, STATUSES
from workers.operate.grouping import Group
from workers.operate.looking import Organization
from workers.operate.opening import Hands
from workers.operate.printing import Json, Trouble, answer, fields, line, news, shown, table

if TYPE_CHECKING:
    from common.documents.database import Document
    from common.documents.groups import Groups

RACES = 5
Id = Annotated[str, typer.Argument(metavar="ID", help="The group's id.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Group, help="Look at import groups: all pictures of an album, asked for by one call."
    )
    group.command("list")(list_)
    group.command("show")(show)
    group.command("cancel")(cancel)
    app.add_typer(group, name="group")


def list_(
    ctx: typer.Context,
    *,
    organization: Organization = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 20,
    json: Json = False,
) -> None:
    """List groups, the latest first."""
    hands: Hands = ctx.obj
    match = {} if organization is None else {"organization_id": organization.strip().lower()}
    found = hands.groups.latest(match=match, limit=limit)
    if json:
        answer([_told(hands, group) for group in found])
        return
    zone = hands.settings.time_zone
    rows = [
        (
            one["_id"],
            shown(one["created_at"], zone),
            one["status"],
            one["album_id"],
            one["children"],
            one["organization_id"],
        )
        for one in found
    ]
    table(("ID", "ACCEPTED", "STATUS", "ALBUM", "IMPORTS", "ORGANIZATION"), rows)
    if not found:
        news("No group fits.")


def show(ctx: typer.Context, *, id: Id, json: Json = False) -> None:  # noqa: A002
    """Show one group, how its imports are doing, and what its listing left out, by reason."""
    hands: Hands = ctx.obj
    told = _told(hands, _existing(hands, id), whole=True)
    if json:
        answer(told)
        return
    fields({name: value for name, value in told.items() if not isinstance(value, dict)})
    for title in ("counts", "skipped"):
        line("")
        table((title.upper(), ""), [(name, number) for name, number in told[title].items() if number])


def cancel(ctx: typer.Context, *, id: Id, json: Json = False) -> None:  # noqa: A002
    """Cancel a group: nothing more is listed, and the sweeper ends its open imports."""
    hands: Hands = ctx.obj
    groups = hands.groups
    for _ in range(RACES):
        group = _existing(hands, id)
        if _has_ended(groups, group):
            raise Trouble(f"It has ended already: {group['status']}. What has ended stays.")
        if group["status"] == "canceled" or groups.cancel(group, now=hands.clock()):
            break
    else:
        raise Trouble("Workers move it on too fast just now: cancel it again.")
    if json:
        answer({"canceled": group["_id"]})
    else:
        line(f"Group {group['_id']} is canceled.")


def _has_ended(groups: Groups, group: Document) -> bool:
    """Tell whether a group failed, or finished with the last of its imports."""
    if group["status"] == "expanded":
        return not any(groups.count(group["_id"], status) for status in OPEN)
    return bool(group["status"] == "failed")


def _existing(hands: Hands, group_id: str) -> Document:
    found = hands.groups.find(group_id.strip().lower())
    if found is None:
        raise Trouble(f"There is no group {group_id!r}: see `imports group list`.")
    return found


def _told(hands: Hands, group: Document, *, whole: bool = False) -> dict[str, Any]:
    told = {
        "id": group["_id"],
        "organization_id": group["organization_id"],
        "album_id": group["album_id"],
        "status": group["status"],
        "imports": group["children"],
        "existing": group["existing"],
        "error": group["error"] and f"{group['error']['code']}: {group['error']['detail']}",
        "waiting_for": group["waiting_for"],
        "calls": group["calls"],
        "deliveries": group["deliveries"],
        "created_at": shown(group["created_at"], hands.settings.time_zone),
    }
    if whole:
        told["counts"] = {status: hands.groups.count(group["_id"], status) for status in STATUSES}
        told["skipped"] = hands.groups.reasons(group)
    return told

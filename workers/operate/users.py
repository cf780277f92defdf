"""`imports user …`: who may submit, and for which organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.operate.grouping import Group
from workers.operate.opening import Hands
from workers.operate.organizations import NewId, existing, new_id
from workers.operate.printing import Json, Trouble, answer, line, news, shown, table, written

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from common.documents.database import Document

Organization = Annotated[str, typer.Argument(metavar="ORGANIZATION_ID", help="The user's organization.")]
Id = Annotated[str, typer.Argument(metavar="USER_ID", help="The user's id.")]


def register(app: typer.Typer) -> None:
    verbs = typer.Typer(
        cls=Group, no_args_is_help=True, help="Users: who may submit, and for which organization."
    )
    verbs.command("add")(add)
    verbs.command("list")(list_)
    verbs.command("disable")(disable)
    verbs.command("enable")(enable)
    app.add_typer(verbs, name="user")


def add(
    ctx: typer.Context,
    *,
    organization_id: Organization,
    id: NewId = None,  # noqa: A002 - the option's name
    json: Json = False,
) -> None:
    """Add a user to an organization. Adding the same user again changes nothing.

    Example: `imports user add ORGANIZATION_ID`, then `imports token USER_ID`
    """
    hands: Hands = ctx.obj
    user_id = new_id(id)
    organization = existing(hands, organization_id)
    try:
        user = hands.users.add(user_id, organization_id=organization["_id"], now=hands.clock())
    except ValueError as error:
        raise Trouble(str(error)) from None
    if json:
        answer({"id": user["_id"], "organization_id": user["organization_id"]})
    else:
        line(user["_id"])
        news(f"Added to {organization['name']}; `imports token {user['_id']}` makes a token.")


def list_(
    ctx: typer.Context,
    *,
    organization_id: Annotated[
        str | None, typer.Argument(metavar="[ORGANIZATION_ID]", help="Only the users of this organization.")
    ] = None,
    json: Json = False,
) -> None:
    """List users, oldest first."""
    hands: Hands = ctx.obj
    zone = hands.settings.time_zone
    only = None if organization_id is None else existing(hands, organization_id)["_id"]
    found = hands.users.list(only)
    if json:
        answer([_presented(user, zone) for user in found])
        return
    table(
        ("ID", "ORGANIZATION", "STATE"),
        ((user["_id"], user["organization_id"], _state(user, zone)) for user in found),
    )
    if not found:
        news("There is no such user yet: `imports user add --help`.")


def disable(ctx: typer.Context, *, id: Id, json: Json = False) -> None:  # noqa: A002
    """Refuse the user's tokens from now on."""
    hands: Hands = ctx.obj
    hands.users.disable(user_of(hands, id)["_id"], now=hands.clock())
    _tell(hands, id, json=json)


def enable(ctx: typer.Context, *, id: Id, json: Json = False) -> None:  # noqa: A002
    """Accept the user's tokens again."""
    hands: Hands = ctx.obj
    hands.users.enable(user_of(hands, id)["_id"])
    _tell(hands, id, json=json)


def user_of(hands: Hands, user_id: str) -> Document:
    """Return a user. Raises Trouble where there is none such."""
    found = hands.users.find(user_id.strip().lower())
    if found is None:
        raise Trouble(f"There is no user {user_id!r}: see `imports user list`.")
    return found


def _tell(hands: Hands, user_id: str, *, json: bool) -> None:
    user, zone = user_of(hands, user_id), hands.settings.time_zone
    if json:
        answer(_presented(user, zone))
    else:
        line(f"{user['_id']} {_state(user, zone)}")


def _presented(user: Document, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "id": user["_id"],
        "organization_id": user["organization_id"],
        "disabled_at": written(user["disabled_at"], zone),
        "created_at": written(user["created_at"], zone),
    }


def _state(user: Document, zone: ZoneInfo) -> str:
    disabled_at = user["disabled_at"]
    return "may submit" if disabled_at is None else f"disabled since {shown(disabled_at, zone)}"

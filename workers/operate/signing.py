"""`imports token`: sign a token with which a user may submit."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from workers.operate.opening import Hands
from workers.operate.organizations import existing
from workers.operate.printing import Json, answer, line, news, shown, written
from workers.operate.users import user_of


def register(app: typer.Typer) -> None:
    app.command("token")(token)


def token(
    ctx: typer.Context,
    *,
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="For whom; see `imports user list`.")],
    lifetime: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10 * 365 * 86400,
            metavar="SECONDS",
            help="How long it is good for; four hours when not given.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Sign a token for a user and print it. Each successful answer of the API renews it.

    Example: `curl -H "Authorization: Token token=\\"$(imports token USER_ID)\\"" …`
    """
    from common import tokens

    hands: Hands = ctx.obj
    settings = hands.settings
    user = user_of(hands, user_id)
    organization = existing(hands, user["organization_id"])
    for refused, one in (("user", user), ("organization", organization)):
        if one["disabled_at"] is not None:
            news(f"Warning: the {refused} is disabled, so the token is refused until you enable it again.")
    # Tokens are judged by each machine's own clock, unlike documents, which go by the store's.
    now, lifetime = int(time.time()), lifetime or tokens.LONGEST_RENEWAL
    signed = tokens.mint(user["_id"], secret=settings.token_secrets[0], now=now, lifetime=lifetime)
    expires_at = datetime.fromtimestamp(now + lifetime, UTC)
    if json:
        answer(
            {
                "token": signed,
                "user_id": user["_id"],
                "expires_at": written(expires_at, settings.time_zone),
            }
        )
        return
    line(signed)
    news(f"Good until {shown(expires_at, settings.time_zone)}.")

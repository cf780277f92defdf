"""`imports doctor`: look at everything the product rests on, and say what to do where it is not well."""

from __future__ import annotations

from dataclasses import asdict

import typer

from workers.operate.opening import Hands
from workers.operate.printing import Json, answer, table


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(ctx: typer.Context, *, json: Json = False) -> None:
    """Check settings, stores, blobs, codecs, clock, groups, workers and organizations; exit code 1 if anything is bad.

    It writes a probe to MongoDB and to the blob store and removes it again; nothing else is touched.
    """
    from workers.operate.examining import examined

    hands: Hands = ctx.obj
    found = examined(hands)
    if json:
        answer([asdict(check) for check in found])
    else:
        table(("", "CHECK", "FINDING", "WHAT TO DO"), ((one.state, one.name, one.detail, one.advice) for one in found))  # fmt: skip
    if any(check.state == "bad" for check in found):
        raise typer.Exit(1)

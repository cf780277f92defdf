"""`imports prepare`: make the stores ready; the release step of a deployment. Safe to repeat."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated

import typer

from workers.operate.opening import Hands, where
from workers.operate.printing import Json, Trouble, answer, line, news

NEWS_SECONDS = 2.0  # nobody waits longer than this without being told for what


def register(app: typer.Typer) -> None:
    app.command()(prepare)


def prepare(
    ctx: typer.Context,
    *,
    json: Json = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for MongoDB to answer.")] = 60.0,
) -> None:
    """Make the indexes in MongoDB and check that the stores are set safely.

    Run it once per release, before the other processes start. It waits for MongoDB, changes nothing that is
    in place already, and warns where a store could lose work; with STRICT_STORES=true such a warning fails it.

    Example: `imports prepare --wait 120`
    """
    from workers.operate import checks

    hands: Hands = ctx.obj
    end = time.monotonic() + wait
    _wait(hands, end)
    _index(hands, end)
    looked = [*checks.mongodb(hands), *checks.redis_store(hands)]
    unsafe = [check for check in looked if check.state != "ok"]
    for check in unsafe:
        news(f"Warning: {check.text}")
    name = hands.db.name
    if unsafe and hands.settings.strict_stores:
        raise Trouble(f"Database {name} is ready, but the stores are not set safely (STRICT_STORES=true).")
    if json:
        answer({"prepared": True, "database": name, "warnings": [check.text for check in unsafe]})
    else:
        line(f"Database {name} is ready.")


def _wait(hands: Hands, end: float) -> None:
    """Wait until MongoDB answers and takes writes. Raises Trouble when time is up."""
    import pymongo
    from pymongo.errors import ConnectionFailure, ExecutionTimeout

    at, told = where(hands.settings.mongodb_url), time.monotonic()
    while True:
        # The driver alone would look for a server for three seconds and tell nobody meanwhile.
        with suppress(ConnectionFailure, ExecutionTimeout), pymongo.timeout(1.0):
            if hands.mongodb.admin.command("hello").get("isWritablePrimary", True):
                return
        now = time.monotonic()
        if now >= end:
            raise Trouble(f"MongoDB at {at} does not answer: start it, or correct MONGODB_URL.")
        if now - told >= NEWS_SECONDS:
            told = now
            news(f"Waiting for MongoDB at {at}, {end - now:.0f} s more …")
        time.sleep(min(0.3, end - now))


def _index(hands: Hands, end: float) -> None:
    """Make the indexes. On a large collection that outlasts a socket's patience, so it is asked again."""
    from pymongo.errors import ConnectionFailure

    from common.documents import database

    while True:
        try:
            database.prepare(hands.db)
        except ConnectionFailure:
            if time.monotonic() >= end:
                raise
            news("MongoDB is still making indexes …")
            time.sleep(0.3)
        else:
            return

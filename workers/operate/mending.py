"""`imports retry` and `imports cancel`: open failed imports again, end open ones.

The document is changed first; it is dispatched afterwards as well as it can be. With Redis away nothing
is lost by that: the import is due, so the sweeper rings.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.operate.looking import Code, Organization, Status, matching
from workers.operate.opening import Hands
from workers.operate.printing import Json, Trouble, answer, line, news

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from common.documents.claims import Stage
    from common.documents.database import Document

PAGE = 500  # imports retried between two looks at the store, so that memory stays small
RACES = 5  # an import that workers move on may win against an operator so often

_AGO = re.compile(r"(\d{1,6})\s*([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="The imports, one or many.")]


def register(app: typer.Typer) -> None:
    app.command("retry")(retry)
    app.command("cancel")(cancel)


def retry(  # noqa: PLR0913 - an option each
    ctx: typer.Context,
    *,
    ids: Ids = None,
    status: Annotated[Status | None, typer.Option("--status", help="All in this state; `failed`.")] = None,
    code: Code = None,
    organization: Organization = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only what failed since: `2h`, `3d`, or 2026-03-01T08:00."),
    ] = None,
    json: Json = False,
) -> None:
    """Try failed imports again: those that are named, or all that fit. All their budgets begin anew.

    An original that is stored already is not fetched a second time.

    Examples: `imports retry ID` · `imports retry --code attachment_not_found --since 2h` ·
    `imports retry --status failed --organization ID`
    """
    hands: Hands = ctx.obj
    chosen = status is not None or code is not None or organization is not None or since is not None
    if bool(ids) == chosen:
        raise Trouble("Name imports, or choose them by --status failed, --code, --organization, --since.", exit_code=2)  # fmt: skip
    if status is not None and status.value != "failed":
        raise Trouble("Only failed imports can be retried: --status failed.", exit_code=2)
    refused: list[dict[str, str]] = []
    if ids:
        opened = list(_retried(hands, ids, refused))
        dispatch(hands, opened)
        count = len(opened)
    else:
        match = matching(organization=organization, code=code)
        count = _retry_all(hands, match, since=moment(since, hands.clock(), hands.settings.time_zone))
    _tell("retried", count, refused, json=json)


def cancel(ctx: typer.Context, *, ids: Ids = None, json: Json = False) -> None:
    """End imports that are not done yet. A worker that holds one throws its work away."""
    hands: Hands = ctx.obj
    if not ids:
        raise Trouble("Name the imports to cancel; see `imports list --status queued`.", exit_code=2)
    refused: list[dict[str, str]] = []
    ended = list(_canceled(hands, ids, refused))
    _free_places(hands, ended)
    _tell("canceled", len(ended), refused, json=json)


def moment(text: str | None, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Read `2h` as so long ago, or a date and time, in the zone of the settings unless it names its own."""
    if text is None:
        return None
    if ago := _AGO.fullmatch(text.strip()):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Trouble("--since must look like 30m, 2h, 3d or 2026-03-01T08:00.", exit_code=2) from None
    return (read if read.tzinfo is not None else read.replace(tzinfo=zone)).astimezone(UTC)


def _retried(hands: Hands, ids: Iterable[str], refused: list[dict[str, str]]) -> Iterator[Document]:
    """Open named imports again; those that cannot be are added to `refused`."""
    for import_id in _distinct(ids):
        seen = hands.imports.find(import_id)
        if seen is None:
            refused.append(_no(import_id, "there is no such import"))
            continue
        try:
            opened = hands.imports.retried(seen, stored=_stored(hands, seen), now=hands.clock())
        except ValueError as error:
            refused.append(_no(import_id, str(error)))
            continue
        if opened is None:
            refused.append(_no(import_id, f"it is {seen['status']}; only a failed import can be retried"))
        else:
            yield opened


def _retry_all(hands: Hands, match: dict[str, Any], *, since: datetime | None) -> int:
    """Open every failed import that fits, a page at a time. Returns how many.

    Those that fail again while this runs are left alone, or it might never end.
    """
    began, count = hands.clock(), 0
    failed_at = {"$lt": began} if since is None else {"$gte": since, "$lt": began}
    match = {**match, "status": "failed", "record_id": {"$ne": None}, "updated_at": failed_at}
    while page := hands.overview.latest(match=match, limit=PAGE, now=began):
        tried = (hands.imports.retried(seen, stored=_stored(hands, seen), now=hands.clock()) for seen in page)
        opened = [one for one in tried if one is not None]
        dispatch(hands, opened)
        count += len(opened)
        if len(page) == PAGE:
            news(f"{count} so far …")
        if not opened:  # somebody else retries the same ones
            break
    return count


def _stored(hands: Hands, import_: Document) -> bool:
    """Tell whether an import's original is in the blobs, whole. Raises BlobsUnavailableError."""
    original = import_["original"]
    return original is not None and hands.blobs.size(original["key"]) == original["bytes"]


def _canceled(hands: Hands, ids: Iterable[str], refused: list[dict[str, str]]) -> Iterator[tuple[str, Document]]:  # fmt: skip
    """End named imports, giving the queue each was in with it; those that cannot be go to `refused`."""
    from common.documents.imports import stage_of

    for import_id in _distinct(ids):
        for _ in range(RACES):
            seen = hands.imports.find(import_id)
            if seen is None:
                refused.append(_no(import_id, "there is no such import"))
                break
            stage = stage_of(seen["status"])
            if stage is None:
                refused.append(_no(import_id, f"it has ended already: {seen['status']}"))
                break
            ended = hands.imports.end(
                seen, "canceled", code=None, detail="", retryable=False, now=hands.clock()
            )
            if ended is not None:
                yield stage.name, ended
                break
        else:
            refused.append(_no(import_id, "workers move it on too fast just now: cancel it again"))


def dispatch(
    hands: Hands, opened: Iterable[Document], *, stage_of: Callable[[str], Stage | None] | None = None
) -> None:
    """Dispatch what was opened again, imports where nothing else is said."""
    import redis

    work: defaultdict[tuple[str, str], list[tuple[str, datetime]]] = defaultdict(list)
    for one in opened:
        found = (stage_of or hands.imports.stage_of)(one["status"])
        if found is not None:
            work[found.name, one["organization_id"]].append((one["_id"], one["created_at"]))
    try:
        for (stage, organization_id), waiting in work.items():
            hands.dispatcher.enqueue(stage, organization_id, waiting)
    except redis.RedisError:
        news("Redis does not answer, so the sweeper dispatches them: nothing is lost.")


def _free_places(hands: Hands, ended: Iterable[tuple[str, Document]]) -> None:
    """Give the places of imports that are no more to the next ones of the organization."""
    import redis

    try:
        for stage, one in ended:
            hands.dispatcher.finish(stage, one["organization_id"], one["_id"])
    except redis.RedisError:
        news("Redis does not answer; a worker that is still dispatched for them finds nothing to do.")


def _tell(what: str, count: int, refused: list[dict[str, str]], *, json: bool) -> None:
    """Print how many; exit code 1 where one that was named could not be."""
    for one in refused:
        news(f"{one['id']}: {one['reason']}.")
    if json:
        answer({what: count, "refused": refused})
    else:
        line(f"{count} {'import' if count == 1 else 'imports'} {what}.")
    if refused:
        raise typer.Exit(1)


def _distinct(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(import_id.strip().lower() for import_id in ids))


def _no(import_id: str, reason: str) -> dict[str, str]:
    return {"id": import_id, "reason": reason}

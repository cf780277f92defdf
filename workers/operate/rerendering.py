"""`imports rerender`: bring images to the recipe of today, behind every import.

What is to be done is written down first, a document for each image and recipe, so the command may be broken off
at any time: the workers go on, and a second run adds what is missing and watches the rest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.operate.looking import Organization
from workers.operate.mending import moment
from workers.operate.opening import Hands
from workers.operate.printing import Json, Trouble, answer, line, news

if TYPE_CHECKING:
    from common.documents.database import Document
    from common.documents.rerenders import Rerenders

PAGE = 500
LOOK_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    app.command("rerender")(rerender)


def rerender(  # noqa: PLR0913 - an option each
    ctx: typer.Context,
    *,
    images: Annotated[
        list[str] | None, typer.Argument(metavar="IMAGE…", help="Images; all that fit when none is named.")
    ] = None,
    organization: Organization = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only images made since: `2h`, `3d`, 2026-03-01T08:00.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them and do nothing.")] = False,
    wait: Annotated[bool, typer.Option(help="Watch until all are done.")] = True,
    json: Json = False,
) -> None:
    """Render images anew whose recipe is not that of today: the settings, or their organization's own.

    Imports go first. Old thumbnails stay readable until the new ones are recorded; `imports repair` removes those
    that nothing names any more, once they are a day old.

    Examples: `imports rerender --dry-run` · `imports rerender --organization ID --no-wait`
    """
    hands: Hands = ctx.obj
    match: dict[str, Any] = {}
    if images:
        match["_id"] = {"$in": [image.strip().lower() for image in images]}
    if organization is not None:
        match["organization_id"] = organization.strip().lower()
    if since is not None:
        match["created_at"] = {"$gte": moment(since, hands.clock(), hands.settings.time_zone)}
    ordered = []
    for image, recipe in _outdated(hands, match):
        if dry_run:
            ordered.append(image["_id"])
        else:
            ordered.append(hands.rerenders.order(image, recipe=recipe, now=hands.clock()))
        if len(ordered) % PAGE == 0:
            news(f"{len(ordered)} so far …")
    ends = _watched(hands.rerenders, ordered) if wait and not dry_run else {}
    failed = sorted(one for one, end in ends.items() if end != "succeeded")
    _tell(len(ordered), len(ends) - len(failed), failed, dry_run=dry_run, json=json)


def _outdated(hands: Hands, match: dict[str, Any]) -> Iterator[tuple[Document, str]]:
    """Walk over the images that fit and give those of another recipe, each with the one that it should have."""
    from workers.imaging.naming import recipe_id
    from workers.recipes import recipe_for, usual_recipe

    try:
        usual = usual_recipe(hands.settings.thumbnails)
    except ValueError as mistake:
        raise Trouble(str(mistake), exit_code=2) from None
    own = {one["_id"]: recipe_id(recipe_for(one, usual)) for one in hands.organizations.list()}
    named, match = (
        match.get("_id", {}).get("$in"),
        {key: value for key, value in match.items() if key != "_id"},
    )
    kept, last = hands.images, ""
    while page := kept.after(last, match, limit=PAGE):
        last = page[-1]["_id"]
        for image in page:
            recipe = own.get(image["organization_id"])
            wanted = named is None or image["_id"] in named
            if wanted and recipe is not None and image["recipe"] != recipe:
                yield image, recipe


def _watched(rerenders: Rerenders, ordered: list[str]) -> dict[str, str]:
    """Show a bar until every one has ended. Ctrl-C ends the watching and nothing else."""
    from rich.console import Console
    from rich.progress import Progress

    ends: dict[str, str] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("rendering anew", total=len(ordered))
        while left := [one for one in ordered if one not in ends]:
            for start in range(0, len(left), PAGE):
                ends |= rerenders.ended_among(left[start : start + PAGE])
            progress.update(bar, completed=len(ends))
            if len(ends) < len(ordered):
                time.sleep(LOOK_SECONDS)
    return ends


def _tell(count: int, done: int, failed: list[str], *, dry_run: bool, json: bool) -> None:
    if json:
        answer({"outdated" if dry_run else "ordered": count, "succeeded": done, "failed": failed})
    elif dry_run:
        line(f"{count} images are of another recipe.")
    else:
        line(f"{count} ordered, {done} done, {len(failed)} failed.")
    if failed:
        raise typer.Exit(1)

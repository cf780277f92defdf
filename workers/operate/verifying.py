"""`imports verify` and `imports repair`: do documents, blobs and messages agree, and make them.

Exit code 0 where everything agrees (or was repaired), 1 where something does not.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.operate.opening import Hands
from workers.operate.printing import Json, answer, line, table

if TYPE_CHECKING:
    from rich.progress import TaskID

    from workers.operate.inspecting import Finding, Inspector

SHOWN = 50  # findings in the table for people; `--json` has all of them

Sizes = Annotated[
    bool, typer.Option("--sizes", help="Compare sizes only: reads no blob, misses changed bytes.")
]


def register(app: typer.Typer) -> None:
    app.command("verify")(verify)
    app.command("repair")(repair)


def verify(ctx: typer.Context, *, sizes: Sizes = False, json: Json = False) -> None:
    """Check that documents, blobs and messages agree; reads every blob. Changes nothing.

    It looks for images without an import, imports without an image, blobs that are missing, changed or
    orphaned, imports and groups that are stuck, and messages that name nothing.

    Example: `imports verify --sizes` as a quick look every day
    """
    from workers.operate.inspecting import Inspector

    hands: Hands = ctx.obj
    with _progress(hands) as told:
        inspector = Inspector(hands, digests=not sizes, told=told)
        found = list(inspector.findings())
    _tell(inspector, [(one, None) for one in found], json=json)
    if found:
        raise typer.Exit(1)


def repair(
    ctx: typer.Context,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    sizes: Sizes = False,
    json: Json = False,
) -> None:
    """Verify, then mend what can be mended. The product may run meanwhile; each finding is looked at again.

    An original that any document names is never removed, nor any blob that was put within the last 24 hours.

    Example: `imports repair --dry-run`, then `imports repair`
    """
    from workers.operate.inspecting import Inspector
    from workers.operate.repairing import KEPT, Repairer

    hands: Hands = ctx.obj
    began = hands.clock()
    with _progress(hands) as told:
        inspector = Inspector(hands, digests=not sizes, told=told)
        found = list(inspector.findings())
        done: list[tuple[Finding, str | None]] = [(one, None) for one in found]
        if not dry_run:
            done = list(Repairer(hands, inspector).repaired(found, began=began))
    _tell(inspector, done, json=json)
    if (dry_run and found) or any(outcome == KEPT for _, outcome in done):
        raise typer.Exit(1)


def _tell(inspector: Inspector, done: list[tuple[Finding, str | None]], *, json: bool) -> None:
    from workers.operate.inspecting import KINDS

    if json:
        findings = [
            {
                **{name: getattr(one, name) for name in ("kind", "id", "detail", "import_id")},
                **({"repair": KINDS[one.kind]} if outcome is None else {"outcome": outcome}),
            }
            for one, outcome in done
        ]
        answer({"checked": asdict(inspector.checked), "findings": findings})
        return
    checked = inspector.checked
    line(
        f"Looked at {checked.imports} imports, {checked.groups} groups, {checked.images} images, "
        f"{checked.blobs} blobs and {checked.messages} messages."
    )
    if not done:
        line("All of it agrees.")
        return
    table(
        ("KIND", "WHICH", "WHAT", "REPAIR"),
        ((one.kind, one.id, one.detail, outcome or KINDS[one.kind]) for one, outcome in done[:SHOWN]),
    )
    counted = Counter((one.kind, outcome or "found") for one, outcome in done)
    line("")
    for (kind, outcome), count in sorted(counted.items()):
        line(f"{count} {kind}: {outcome}")


@contextmanager
def _progress(hands: Hands) -> Iterator[Callable[[str, int], None]]:
    """Show on a terminal's standard error how far the walk is; elsewhere show nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from common.documents.inspection import Inspection

    columns: Any = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        tasks: dict[str, TaskID] = {}
        totals: dict[str, int] = {}
        if not progress.disable:
            totals = dict(zip(("imports", "images"), Inspection(hands.db).counts(), strict=True))

        def told(what: str, count: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=totals.get(what))
            progress.update(tasks[what], completed=count)

        yield told

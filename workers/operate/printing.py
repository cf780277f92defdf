"""Print for people and for machines, and keep the two apart.

Standard output carries the answer: a table, or with `--json` exactly one JSON value. News, warnings, progress
and errors go to standard error, so that a pipe never reads them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.display import CUT, marked

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.console import Console
    from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]

STATUS_COLOURS = {"succeeded": "green", "failed": "red", "canceled": "dim", "ok": "green", "warning": "yellow", "bad": "bold red"}  # fmt: skip
LONGEST_CELL = 1_000  # characters; a name that a caller sent may have a million
PIPE_COLUMNS = 200  # a table in a pipe is not squeezed into the width of a terminal that is not there


class Trouble(Exception):  # noqa: N818 - the sentence that ends a command, not a fault of the program
    """Ends a command with one sentence that says what to do: exit code 1, or 2 for wrong usage."""

    def __init__(self, sentence: str, *, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(sentence)


def news(text: str) -> None:
    """Tell a person something that is not the answer."""
    sys.stderr.write(marked(text) + "\n")
    sys.stderr.flush()


def answer(value: Any) -> None:
    """Print the one JSON value of a command."""
    # ASCII only: whatever encoding a pipe or a terminal has, the value arrives whole.
    sys.stdout.write(json.dumps(value, ensure_ascii=True, allow_nan=False) + "\n")
    sys.stdout.flush()


def line(text: str) -> None:
    """Print one plain line of the answer."""
    sys.stdout.write(marked(text) + "\n")


def cut(text: str) -> str:
    """Return what a table shows of a text: LONGEST_CELL characters, nothing hidden in them."""
    return marked(text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + CUT)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table; None is shown as a dash, and a status in its colour."""
    from rich.table import Table

    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(cell(value) for value in row))
    console().print(shown)


def fields(pairs: Mapping[str, Any]) -> None:
    """Print names and values, one a line; those that are None are left out."""
    from rich.table import Table
    from rich.text import Text

    shown = Table.grid(padding=(0, 2))
    for name, value in pairs.items():
        if value is not None:
            shown.add_row(Text(name, style="bold"), cell(value))
    console().print(shown)


def cell(value: Any) -> Text:
    """Write a value for people. Whatever the outside sent is text here, never markup or a control code."""
    from rich.text import Text

    text = "-" if value is None else str(value)
    return Text(cut(text), style=STATUS_COLOURS.get(text, ""))


def console() -> Console:
    """Return a console on the standard output of this moment."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)


def written(moment: datetime | None, zone: ZoneInfo) -> str | None:
    """Write a time as the API does: milliseconds and offset, UTC as `Z`."""
    if moment is None:
        return None
    local = moment.astimezone(zone)
    text = local.isoformat(timespec="milliseconds")
    # A zone that merely stands at UTC for a while (London in winter) is written with its numbers.
    return text.removesuffix("+00:00") + "Z" if local.tzname() in ("UTC", "UCT") else text


def shown(moment: datetime | None, zone: ZoneInfo) -> str | None:
    """Write a time for people, to the second, in the zone of the settings."""
    return None if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def lasting(seconds: float | None) -> str | None:
    """Write a duration for people: `0.4 s`, `42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds is None:
        return None
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for size, unit, part, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"

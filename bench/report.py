"""Print what was measured as a table, and keep it as JSON and as a plot in bench/results/."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

RESULTS = Path(__file__).resolve().parent / "results"
_COLOURS = ("#c0392b", "#2c6fbb", "#7fb069", "#8e6bbf", "#e0a030", "#5aa9a9", "#777777")

Rows = list[dict[str, Any]]  # a row: `name` first, then figures by column


def tell(name: str, title: str, rows: Rows, *, plot: tuple[str, str], ratios: dict[str, float]) -> None:
    """Print a table and its ratios, write results/NAME.json, and draw a column into results/NAME.svg.

    `plot` names the column and what it counts, as in ("cpu_us", "µs of processor time each").
    """
    column, unit = plot
    print(f"\n{title}\n{table(rows)}")
    for what, ratio in ratios.items():
        print(f"{what}: {ratio}")
    RESULTS.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    kept = {"title": title, "machine": machine, "rows": rows, "ratios": ratios}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    (RESULTS / f"{name}.svg").write_text(
        _bars(f"{title}: {unit}", [(row["name"], row[column]) for row in rows if column in row])
    )


def table(rows: Rows) -> str:
    """Return rows as a table of text, numbers to the right."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    texts = [columns, *([str(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(len(line[place]) for line in texts) for place in range(len(columns))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in texts
    )


def _bars(title: str, values: list[tuple[str, float]]) -> str:
    most = max((value for _, value in values), default=1) or 1
    drawn = []
    for place, (name, value) in enumerate(values):
        y, width = 34 + place * 22, max(1, round(420 * value / most))
        colour = _COLOURS[place % len(_COLOURS)]
        drawn.append(f'<text x="8" y="{y + 12}">{escape(name)}</text>')
        drawn.append(f'<rect x="250" y="{y}" width="{width}" height="16" fill="{colour}"/>')
        drawn.append(f'<text x="{256 + width}" y="{y + 12}">{value:g}</text>')
    height = 44 + len(values) * 22
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif" '
        'font-size="11"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="8" y="18" font-size="13">{escape(title)}</text>'
    )
    return head + "".join(drawn) + "</svg>\n"

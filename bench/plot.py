"""Draw the processor time of each engine for each kind of picture, as SVG without a library."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

_BAR, _GAP, _LEFT, _WIDTH = 14, 26, 190, 620
_COLOURS = ("#c0392b", "#2c6fbb", "#7fb069", "#8e6bbf", "#e0a030", "#5aa9a9", "#777777")


def bars(groups: dict[str, Any]) -> str:
    """Return one block of bars a group: milliseconds of processor time for each megapixel, product first."""
    drawn, at = [], 30
    for label, group in groups.items():
        values = group["cpu_ms_per_megapixel"]
        names = ["product", *sorted(set(values) - {"product"})]
        most = max(values.values())
        drawn.append(f'<text x="8" y="{at + 12}" font-weight="bold">{escape(label)}</text>')
        drawn.append(
            f'<text x="8" y="{at + 28}" fill="#666">{group["files"]} files, {group["megapixels"]} MP</text>'
        )
        for place, name in enumerate(names):
            width = max(1, round((_WIDTH - 220) * values[name] / most))
            y, colour = at + place * _BAR, _COLOURS[place % len(_COLOURS)]
            drawn.append(f'<rect x="{_LEFT}" y="{y}" width="{width}" height="{_BAR - 2}" fill="{colour}"/>')
            text = f"{name} {values[name]:.1f}"
            drawn.append(f'<text x="{_LEFT + width + 6}" y="{y + 10}">{escape(text)}</text>')
        at += len(names) * _BAR + _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH}" height="{at}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        '<text x="8" y="16" font-size="13">Processor time, ms for each megapixel of the source</text>'
    )
    return head + "".join(drawn) + "</svg>\n"

"""Write HTML: a page's frame, its style, and pieces in which every value is escaped.

The pages work without script; what repeats is refreshed by the browser itself. The style is a file of its
own, so that the content policy forbids everything that stands inside a page.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from common import display

POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", POLICY)]
STYLE_PATH = "/style.css"

STYLE = """
:root { --ink: #1d2733; --soft: #5d6b7a; --line: #dfe5ec; --paper: #f6f8fa; --card: #fff; --accent: #1f6feb;
  --good: #1a7f37; --bad: #c4362b; --busy: #9a6700; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e9f0; --soft: #93a1b1; --line: #2c3743; --paper: #11171d;
  --card: #182029; --accent: #6cb0ff; --good: #56c271; --bad: #ff7b72; --busy: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main, header { max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; padding-top: 1.5rem; }
header p { color: var(--soft); margin: 0; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 1.75rem 0 .6rem; }
a { color: var(--accent); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .7rem .9rem; }
.card b { display: block; font-size: 1.5rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .85rem; }
.scroll + .scroll { margin-top: .75rem; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .5rem .9rem; border-top: 1px solid var(--line); vertical-align: middle; }
tr:first-child th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .85rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number, td:last-child { min-width: 5.5rem; }
td small { color: var(--soft); display: block; }
code, pre { font: .85rem/1.5 ui-monospace, monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .9rem; overflow-x: auto; }
form { display: flex; flex-direction: column; gap: .6rem; max-width: 20rem; }
input, button { font: inherit; padding: .45rem .7rem; border: 1px solid var(--line); border-radius: .4rem; }
button { background: var(--accent); color: var(--paper); border-color: var(--accent); }
.thumb { width: 64px; height: 64px; object-fit: cover; border-radius: .4rem; background: var(--line); display: block; }
.tag { border-radius: 1rem; padding: .1rem .6rem; font-size: .85rem; border: 1px solid currentColor; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .busy { color: var(--busy); } .soft { color: var(--soft); }
"""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Return a value as HTML: escaped and without characters that hide or act on others, unless it is Markup."""
    return value if isinstance(value, Markup) else Markup(html.escape(display.marked(str(value))))


def foreign(value: str) -> Markup:
    """Return the beginning of a text from outside, set apart so that its direction reaches nothing beside it."""
    return tag("bdi", display.in_brief(value))


def tag(element: str, /, *inside: object, **attributes: object) -> Markup:
    """Return an element around what is inside; `class_` is written `class`, attributes that are None are left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in ("img", "input", "meta", "link"):
        return Markup(f"<{element}{written}>")
    return Markup(f"<{element}{written}>{''.join(text(one) for one in inside)}</{element}>")


def prose(sentence: str) -> Markup:
    """Return a sentence with what stands between backticks as code."""
    parts = enumerate(sentence.split("`"))
    return Markup("".join(tag("code", part) if n % 2 else text(part) for n, part in parts))


def table(
    heads: Iterable[object], rows: Iterable[Iterable[object]], *, numbers: Iterable[int] = ()
) -> Markup:
    """Return a table; `numbers` are the columns that are set to the right."""
    right = frozenset(numbers)

    def row(kind: str, cells: Iterable[object]) -> Markup:
        return tag(
            "tr", *(tag(kind, cell, class_="number" if n in right else None) for n, cell in enumerate(cells))
        )

    whole = [row("th", heads), *(row("td", cells) for cells in rows)]
    return tag("div", tag("table", *whole), class_="scroll")


def page(title: str, *inside: object, refresh: int | None = None) -> bytes:
    """Return a whole page, that asks for itself again every `refresh` seconds."""
    again = tag("meta", http_equiv="refresh", content=refresh) if refresh else ""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        again,
        tag("title", title),
        tag("link", rel="stylesheet", href=STYLE_PATH),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', *inside), lang='en')}\n".encode()

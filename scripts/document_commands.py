"""Write docs/reference/cli.md from the `imports` command itself: `make docs`. A test compares the two."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from workers.operate.command import app

OPENING = """# The `imports` command

Made from `workers/operate/` by `make docs`; change it there. `imports VERB --help` says the same in a terminal.

Settings come from the environment ([settings](settings.md)); on the sandbox, `. var/sandbox/env` provides them. With
`--json` one JSON value goes to standard output and all news to standard error. Exit codes: 0 done, 1 something failed
or was not found, 2 wrong usage or settings.

What to do when: [operate](../guides/operate.md).
"""
_MARKUP = re.compile(r"\[/?(?:bold|italic)?\]")


def page() -> str:
    """Return the whole page, the same on every machine."""
    commands = _commands(typer.main.get_command(app), "imports")
    return OPENING + "".join(_section(name, command) for name, command in commands)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each verb with the words that call it; a group of verbs is not one itself."""
    for word, below in getattr(command, "commands", {}).items():
        if getattr(below, "commands", None):
            yield from _commands(below, f"{name} {word}")
        else:
            yield f"{name} {word}", below


def _section(name: str, command: Any) -> str:
    words = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    usage = " ".join([name, *(_word(one) for one in words), "[OPTIONS]"])
    rows = [(_word(one), one.help) for one in words] + [(_option(one), one.help) for one in options]
    table = "".join(f"| `{call}` | {_plain(sentence)} |\n" for call, sentence in rows)
    return f"\n## {name}\n\n    {usage}\n\n{_plain(command.help)}\n\n| word | what it is |\n| --- | --- |\n{table}"


def _word(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _option(option: Any) -> str:
    calls = ", ".join([*option.opts, *option.secondary_opts])
    return calls if option.is_flag else f"{calls} {option.metavar or 'VALUE'}"


def _plain(sentence: str | None) -> str:
    """Return help without its markup, as one line a paragraph; a bar would end a cell of the table."""
    text = _MARKUP.sub("`", sentence or "").replace("``", "`").replace("|", "\\|")
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")

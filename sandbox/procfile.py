"""Read the Procfile, the one list of processes, and turn its lines into commands.

The sandbox is one of three readers of that list (compose and deployments are the others), so a line is
taken as a shell would take it: `${NAME}` and `${NAME:-default}` come from the environment of the child.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from sandbox.endings import Refused

_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}|(?P<bare>\w+))")
_SHELL_ONLY = re.compile(r"[|&;<>()`*?~]|\$[({](?!\w+(?::-[^}]*)?\})")


def read(path: Path) -> dict[str, str]:
    """Return the commands by process name, in the file's order. Raises Refused with the line at fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"The list of processes {path} cannot be read ({type(error).__name__}).") from None
    commands: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None or found["name"] in commands:
            raise Refused(f"Line {number} of {path} is not «name: command» with a name of its own.")
        commands[found["name"]] = found["command"]
    return commands


def words(command: str, environment: Mapping[str, str]) -> list[str]:
    """Return the words to execute. Only a line that needs a shell gets one, which then gives way to the program.

    Without a shell in between, the process we know is the process that works: a signal or a kill hits it.
    """
    if _SHELL_ONLY.search(command):
        return ["/bin/sh", "-c", f"exec {command}" if not re.search(r"[|&;]", command) else command]

    def value(found: re.Match[str]) -> str:
        return environment.get(found["braced"] or found["bare"]) or found["default"] or ""

    return shlex.split(_VARIABLE.sub(value, command))


def operator_command(commands: Mapping[str, str]) -> str:
    """Return the operator's command: whatever the release line puts before its verb `prepare`."""
    program, _, verb = commands.get("release", "").rpartition(" ")
    return program.strip() if verb == "prepare" and program.strip() else "imports"

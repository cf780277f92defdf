"""Write docs/reference/settings.md from the table of settings: `make docs`. A test compares the two."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common.setting import Setting
from common.settings import TABLE

OPENING = """# Settings

Made from `common/settings.py` by `make docs`; change it there.

Every setting is an environment variable. Each may also come from a file: `NAME_FILE` holds the path, and the
file's text, without the white space around it, is the value. Giving both is refused. An empty variable counts
as one that is not set. A process reads its settings once, at its start, and reports all mistakes together.

| name | default | what it is |
| --- | --- | --- |
"""

CLOSING = """
**secret**: never logged, and best given as a file.

The numbers of processes and threads are no settings of the code but of the command lines in `Procfile`:
`FETCH_PROCESSES`, `FETCH_THREADS` and `RENDER_PROCESSES`.
"""


def page() -> str:
    """Return the whole page, the same on every machine."""
    return OPENING + "".join(_row(setting) for setting in TABLE) + CLOSING


def _row(setting: Setting) -> str:
    secret = " **secret**" if setting.secret else ""
    if setting.only_for:
        secret += f" Of the processes, only {', '.join(f'`{name}`' for name in setting.only_for)} reads it."
    return f"| `{setting.name}` | {_default(setting)} | {setting.sentence}{secret} |\n"


def _default(setting: Setting) -> str:
    """Show a default; the one that depends on the machine is shown by its rule."""
    if setting.default is None:
        return "none: must be set"
    if not setting.default:
        return "empty"
    folder = tempfile.gettempdir()
    if setting.default.startswith(folder + "/"):
        return f"`{setting.default.removeprefix(folder + '/')}` in the system's folder for temporary files"
    return f"`{setting.default}`"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")

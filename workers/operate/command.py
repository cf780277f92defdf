"""The `imports` command: the operator's hands.

Groups of verbs live in files of their own; this one puts them together and decides how a command ends:
0 done · 1 something failed or was not found · 2 wrong usage or settings. People read tables; with `--json`
one JSON value goes to standard output and everything else, errors included, to standard error.

`--help` answers at once, and a verb loads what it needs when it is called: no file here imports a driver, the
imaging or what is made of them before that.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Any

import typer

from workers.operate import (
    doctor,
    groups,
    looking,
    mending,
    organizations,
    preparing,
    queues,
    rendering,
    rerendering,
    signing,
    users,
    verifying,
)
from workers.operate.grouping import Group
from workers.operate.opening import Hands, ending
from workers.operate.printing import news


class Verbs(Group):
    """Turns whatever a command raises into one sentence on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        hands = Hands(os.environ)
        ctx.obj = hands
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            ended = ending(hands, error)
            if ended is None:
                raise
            sentence, exit_code = ended
            news(sentence)
            raise typer.Exit(exit_code) from None
        finally:
            hands.close()


app = typer.Typer(
    name="imports",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # what would draw help in colours takes longer to load than all else of it
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Look after the Import API: set it up, see what it does, mend what went wrong.

    First time: `imports prepare`, then `imports organization add`, `imports user add`, `imports token`.

    Something is wrong: `imports doctor`, then `imports queues`, `imports list --status failed`, `imports show ID`, `imports retry ID`.

    After an accident or a restored backup: `imports verify`, then `imports repair --dry-run`.

    Every command takes `--json` and then prints one JSON value. Settings come from the environment
    (docs/reference/settings.md). Exit codes: 0 done, 1 failed or not found, 2 wrong usage or settings.""",
)
for group in (
    preparing,
    organizations,
    users,
    signing,
    queues,
    looking,
    groups,
    mending,
    verifying,
    rendering,
    rerendering,
    doctor,
):
    group.register(app)


def main() -> None:
    """Run the command and end the process; a pipe that is closed early (`imports list | head`) is no error."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A file's name that the terminal's encoding lacks is shown with a question mark and ends nothing.
        sys.stdout.reconfigure(errors="replace")
    code: object = 0
    try:
        try:
            app(prog_name="imports")
        except SystemExit as ended:
            code = ended.code
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 1
    # All that was opened is closed by now. The ordinary end would wait half a second for threads of MongoDB's driver,
    # as long as the rest of a list takes, and would complain of a closed pipe once more.
    os._exit(code if isinstance(code, int) else int(code is not None))

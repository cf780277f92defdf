"""The `imports` command: the operator's hands.

Groups of verbs live in files of their own; this one puts them together and decides how a command ends:
0 done · 1 something failed or was not found · 2 wrong usage or settings. People read tables; with `--json`
one JSON value goes to standard output and everything else, errors included, to standard error.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Any, NoReturn

import redis
import typer
from pymongo.errors import PyMongoError
from typer.core import TyperGroup

from common.blobs import BlobError
from common.settings import SettingsError
from workers.credentials import CredentialsError
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
from workers.operate.opening import Hands, away
from workers.operate.printing import Trouble, news


class Verbs(TyperGroup):
    """Turns whatever a command raises into one sentence on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        hands = Hands(os.environ)
        ctx.obj = hands
        try:
            return super().invoke(ctx)
        except Trouble as trouble:
            _end(str(trouble), trouble.exit_code)
        except SettingsError as mistakes:
            _end(str(mistakes), 2)
        except CredentialsError as error:
            _end(str(error), 2)
        except BlobError as error:
            _end(f"{error} `imports doctor` looks closer.", 1)
        except (PyMongoError, redis.RedisError) as error:
            _end(away(hands, error), 1)
        finally:
            hands.close()


def _end(sentence: str, exit_code: int) -> NoReturn:
    news(sentence)
    raise typer.Exit(exit_code)


app = typer.Typer(
    name="imports",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Look after the Import API: set it up, see what it does, mend what went wrong.

    First time: [bold]imports prepare[/], then [bold]imports organization add[/], [bold]imports user add[/], [bold]imports token[/].

    Something is wrong: [bold]imports doctor[/], then [bold]imports queues[/], [bold]imports list --status failed[/], [bold]imports show ID[/], [bold]imports retry ID[/].

    After an accident or a restored backup: [bold]imports verify[/], then [bold]imports repair --dry-run[/].

    Every command takes [bold]--json[/] and then prints one JSON value. Settings come from the environment
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
    """Run the command; a pipe that is closed early (`imports list | head`) is no error."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A file's name that the terminal's encoding lacks is shown with a question mark and ends nothing.
        sys.stdout.reconfigure(errors="replace")
    try:
        app(prog_name="imports")
    except BrokenPipeError:
        # Python flushes standard output once more at exit; without this it would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)

"""Group verbs without paying for what reads options where there are none."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class Group(TyperGroup):
    """A group of verbs, whose only option is `--help`."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return `--help`, not given unless it is: for a value that is no bool typer loads pydantic to read it."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option

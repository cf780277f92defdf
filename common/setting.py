"""Say what one setting is: its name, how its text is read, who reads it, and where the text is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Who can do without some of the secrets. A picture that gets hold of `render` finds none of them there.
PROCESSES = ("web", "fetch", "render", "sweeper")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table; `parse` raises ValueError with a sentence that completes «NAME …»."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    sentence: str
    secret: bool = False
    only_for: tuple[
        str, ...
    ] = ()  # the processes that read it, beside the `imports` command; none named: all
    withheld: Any = None  # its value in a process that does not read it

    def is_for(self, process: str) -> bool:
        """Tell whether a process of the Procfile reads it; one of another name may be anything, and reads all."""
        return not self.only_for or process in self.only_for or process not in PROCESSES

    @property
    def attribute(self) -> str:
        return self.name.lower()


def text_of(setting: Setting, environ: Mapping[str, str]) -> str:
    """Return the text of a setting: from the environment, from NAME_FILE, or its default. Raises ValueError."""
    file = environ.get(setting.name + "_FILE")
    if file and environ.get(setting.name):
        raise ValueError(f"is given twice: keep either {setting.name} or {setting.name}_FILE")
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"cannot be read from the file that {setting.name}_FILE names ({type(error).__name__})"
            ) from None
    text = environ.get(setting.name)
    if text:
        return text.strip()
    if setting.default is None:
        raise ValueError("is not set; see `docs/reference/settings.md`")
    return setting.default

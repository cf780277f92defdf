"""Say what one setting is: its name, how its text is read, who reads it, and where the text is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

# Who can do without some of the secrets. A picture that gets hold of `render` finds none of them there.
PROCESSES = ("web", "fetch", "render", "sweeper")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting; `parse` raises ValueError with a sentence that completes «NAME …»."""

    name: str = ""  # that of the attribute, in upper case
    parse: Callable[[str], Any]
    default: str | None
    sentence: str
    secret: bool
    only_for: tuple[str, ...]  # the processes that read it, beside the `imports` command; none named: all
    withheld: Any  # its value in a process that does not read it

    def is_for(self, process: str) -> bool:
        """Tell whether a process of the Procfile reads it; one of another name may be anything, and reads all."""
        return not self.only_for or process in self.only_for or process not in PROCESSES

    @property
    def attribute(self) -> str:
        return self.name.lower()


def setting(  # noqa: PLR0913 - all that there is to say of one
    parse: Callable[[str], T],
    default: str | None,
    sentence: str,
    *,
    secret: bool = False,
    only_for: tuple[str, ...] = (),
    withheld: Any = None,
) -> T:
    """Declare an attribute of a dataclass as a setting. None as `default`: it must be set."""
    told = Setting(
        parse=parse, default=default, sentence=sentence, secret=secret, only_for=only_for, withheld=withheld
    )
    # As with `dataclasses.field`, what stands in the class is of the attribute's type to a type checker alone.
    return cast(T, field(metadata={"setting": told}))


def settings_of(kind: type) -> tuple[Setting, ...]:
    """Return what a dataclass declares, in its order."""
    return tuple(replace(one.metadata["setting"], name=one.name.upper()) for one in fields(kind))


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

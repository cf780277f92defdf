"""Settings are read once, all mistakes are told together, and no secret leaves by the way."""

from __future__ import annotations

import types
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import pytest

from common.setting import PROCESSES
from common.settings import TABLE, Settings, SettingsError

SECRET = "5e1f0c9a7b3d48620f9e8d7c6b5a4132"


def mistakes(environ: dict[str, str], process: str = "") -> tuple[str, ...]:
    """Return what is wrong with an environment."""
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ, process=process)
    return caught.value.mistakes


def test_a_setting_is_declared_once() -> None:
    """The table is made of the attributes, and what each is read as is of the type that it is declared with."""
    hints, read = get_type_hints(Settings), Settings.load({"TOKEN_SECRETS": SECRET})
    assert [one.attribute for one in TABLE] == list(hints)
    for name, hint in hints.items():
        kinds = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        assert isinstance(getattr(read, name), tuple(get_origin(kind) or kind for kind in kinds)), name


def test_all_mistakes_are_told_together_by_name() -> None:
    """One run is enough to mend them all, and each sentence says which variable and what it should be."""
    told = mistakes({"PORT": "many", "LOG_LEVEL": "loud", "SALESFORCE_FLOOR_PERCENT": "30"})
    assert told == (
        "TOKEN_SECRETS is not set; see `docs/reference/settings.md`.",
        "PORT must be a number, not 'many'.",
        "LOG_LEVEL must be one of debug, info, warning, error.",
        "SALESFORCE_FLOOR_PERCENT must be at most SALESFORCE_RESERVE_PERCENT: groups pause before single imports.",
    )


def test_any_setting_may_come_from_a_file(tmp_path: Path) -> None:
    """NAME_FILE names it; both given, or a file that cannot be read, is a mistake that shows no value."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    assert Settings.load({"TOKEN_SECRETS_FILE": str(file)}).token_secrets == (SECRET,)
    (both,) = mistakes({"TOKEN_SECRETS": SECRET, "TOKEN_SECRETS_FILE": str(file)})
    assert "given twice" in both
    assert SECRET not in both
    (none,) = mistakes({"TOKEN_SECRETS_FILE": str(tmp_path / "none")})
    assert "TOKEN_SECRETS_FILE names" in none


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_reads_no_secret_that_it_does_not_need(process: str) -> None:
    """What is not for a process is not read there, even where it is wrong."""
    withheld = [one for one in TABLE if not one.is_for(process)]
    assert {one.name for one in withheld} == {
        one.name for one in TABLE if one.only_for and process not in one.only_for
    }
    read = Settings.load(
        {"TOKEN_SECRETS": SECRET, **{one.name: "wrong" for one in withheld}}, process=process
    )
    assert all(getattr(read, one.attribute) == one.withheld for one in withheld)


def test_a_traceback_shows_no_secret() -> None:
    """Settings among the values of a traceback are shown by their type alone."""
    assert repr(Settings.load({"TOKEN_SECRETS": SECRET})) == "Settings(…)"

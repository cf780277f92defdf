"""The sandbox reads the Procfile as a shell would, and only takes a shell where one is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import procfile
from sandbox.endings import Refused


def test_order_comments_and_blank_lines(tmp_path: Path) -> None:
    """Commands come in the file's order; comments and blank lines are nothing."""
    file = tmp_path / "Procfile"
    file.write_text(
        "# the list\n\nrelease: imports prepare\nweb:   python -m ingest.main  \nfetch: dramatiq a:b\n"
    )
    assert list(procfile.read(file).items()) == [
        ("release", "imports prepare"),
        ("web", "python -m ingest.main"),
        ("fetch", "dramatiq a:b"),
    ]


@pytest.mark.parametrize("text", ["web python", "web:", "web: a\nweb: b", ": a", "w eb: a"])
def test_line_at_fault_is_named(tmp_path: Path, text: str) -> None:
    """A line that names no process, or one twice, is refused with its number."""
    file = tmp_path / "Procfile"
    file.write_text(f"# first\n{text}\n")
    with pytest.raises(Refused, match=r"Line [23] of .*Procfile"):
        procfile.read(file)


def test_missing_list_is_refused(tmp_path: Path) -> None:
    """Without the list there is a sentence and no traceback."""
    with pytest.raises(Refused, match="cannot be read"):
        procfile.read(tmp_path / "Procfile")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "dramatiq a:b --threads ${THREADS:-8} --name ${NAME}",
            ["dramatiq", "a:b", "--threads", "8", "--name", "x"],
        ),
        ("web --port $PORT", ["web", "--port", "8000"]),
        ("web --port ${PORT:-1}", ["web", "--port", "8000"]),
        ("web ${EMPTY:-default} ${UNSET:-}", ["web", "default"]),
        ("say 'two words' \"$NAME\"", ["say", "two words", "x"]),
    ],
)
def test_words_and_defaults(command: str, expected: list[str]) -> None:
    """Names are replaced by the child's environment; a default serves for what is unset or empty."""
    environment = {"PORT": "8000", "NAME": "x", "EMPTY": ""}
    assert procfile.words(command, environment) == expected


@pytest.mark.parametrize("command", ["a && b", "a | b", "a > file", "echo *.py", "a $(b)", "a ${B:?gone}"])
def test_shell_only_where_needed(command: str) -> None:
    """What only a shell understands is given to one whole; a single program still takes the shell's place."""
    shell, option, line = procfile.words(command, {})
    assert (shell, option) == ("/bin/sh", "-c")
    assert line.endswith(command)
    assert line.startswith("exec ") != any(sign in command for sign in "&|")


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("imports prepare", "imports"),
        ("python -m workers.operate prepare", "python -m workers.operate"),
        ("make release", "imports"),
        ("", "imports"),
    ],
)
def test_operator_command(release: str, expected: str) -> None:
    """The release line names the operator's command, so that both are the same program."""
    assert procfile.operator_command({"release": release} if release else {}) == expected


def test_the_products_own_list() -> None:
    """The Procfile of this checkout needs no shell, so a kill hits the program itself."""
    commands = procfile.read(Path(__file__).parents[3] / "Procfile")
    assert {"release", "web", "fetch", "render", "sweeper"} <= set(commands)
    assert all(procfile.words(command, {})[0] != "/bin/sh" for command in commands.values())

"""The sample names pictures that the simulated Salesforce really has, and a command that a shell takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import sample
from sandbox.door import Door
from sandbox.organization import Salesforce
from sandbox.output import Output
from sandbox.salesforce.tables import Attachments

README = Path(__file__).resolve().parents[3] / "README.md"
SIMULATED = Salesforce("http://127.0.0.1:1", "sandbox", "hush", simulated=True)


def test_named_pictures_exist(tmp_path: Path) -> None:
    """Both pictures are attachments of the simulated Salesforce; a picture of the person's comes second."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "beach.jpg").write_bytes(b"a picture")
    attachments = Attachments(tmp_path / "data", tmp_path / "own")
    attachments.load()
    names = {record.id: record.values["Name"] for record in attachments.rows().values()}
    for pictures, second in ((None, sample.NEXT), (tmp_path / "own", "beach.jpg")):
        found = sample.attachments(SIMULATED, pictures)
        assert [names[attachment_id] for attachment_id, _ in found] == [sample.SHOWN, second]


def test_command_can_be_pasted() -> None:
    """A shell reads the command as one call of curl, whatever the picture is called."""
    command = sample.curl(Door(8000, 'to"ken'), ("00P6LZqVcbAZ1W7UFL", "it's a & b.jpg"))
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "curl"
    assert 'Authorization: Token token="to"ken"' in words
    assert "filename=it's a & b.jpg" in words
    assert words[-1] == "http://127.0.0.1:8000/api/v1/imports"


def test_readme_shows_the_printed_command() -> None:
    """The request in README.md is what `make run` prints, but for the token and the ends of the ids."""
    found = sample.attachments(SIMULATED, None)[-1]
    printed = sample.curl(Door(8000, "…"), found)
    for ours in (found[0], sample.SAMPLE_CASE_ID):
        printed = printed.replace(ours, f"{ours[:3]}…")
    assert shlex.split(printed.replace("\\\n", " ")) in [
        shlex.split(block.replace("\\\n", " "))
        for block in re.findall(r"^```sh\n(curl.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ]


def test_silent_salesforce_shows_no_picture() -> None:
    """A Salesforce of the environment that does not answer gives no sample, and no traceback."""
    assert sample.attachments(Salesforce("http://127.0.0.1:1", "a", "b", simulated=False), None) == []


class Queued(Door):
    """A door behind which an import stays in the queue."""

    def post(self, parameters: dict[str, str]) -> dict[str, Any]:
        return {"id": "4711", "status": "queued"}

    def show(self, import_id: str) -> dict[str, Any]:
        return {"id": import_id, "status": "queued"}


@pytest.mark.parametrize(
    ("unfinished", "seconds", "sentence"),
    [
        (37, 10, "37 earlier imports of its organization, not ended yet, may come first"),
        (1, 10, "1 earlier import of its organization, not ended yet, may come first"),
        (0, 60, "`imports show` tells why"),
    ],
)
def test_a_backlog_keeps_nobody_from_the_world(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], unfinished: int, seconds: int, sentence: str
) -> None:
    """A sample behind the imports of an earlier start says so and is awaited for ten seconds only; the dashboard
    shows the rest. One with nothing before it has a minute."""
    asked = []

    def until(holds: Callable[[], bool], *, what: str, seconds: float) -> bool:
        asked.append(seconds)
        return holds()

    output = Output(tmp_path)
    assert sample.carry(Queued(8000), ("00P", "a.jpg"), output, until, unfinished=unfinished) is None
    output.flush()
    told = capfd.readouterr().err
    assert asked == [seconds]
    assert sentence in told
    assert ("see it come at http://127.0.0.1:8000/dashboard" in told) is bool(unfinished)

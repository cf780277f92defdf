"""The sample names pictures that the simulated Salesforce really has, and a command that a shell takes."""

from __future__ import annotations

import shlex
from pathlib import Path

from sandbox import sample
from sandbox.door import Door
from sandbox.organization import Salesforce
from sandbox.salesforce.tables import Attachments

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


def test_silent_salesforce_shows_no_picture() -> None:
    """A Salesforce of the environment that does not answer gives no sample, and no traceback."""
    assert sample.attachments(Salesforce("http://127.0.0.1:1", "a", "b", simulated=False), None) == []

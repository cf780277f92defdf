"""People hear from the sandbox while they wait, whatever its processes say meanwhile."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from sandbox.output import Output


def test_a_wait_is_told_every_two_seconds(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What is waited for is named with its seconds, again and again, though a process talks all the time;
    the inner wait in place of the one around it, and nothing once it is over."""
    output = Output(tmp_path)
    reading, writing = os.pipe()
    reader = output.follow("web", os.fdopen(reading, "rb"))
    with (
        output.waiting("the world"),
        output.waiting("MongoDB to answer"),
        os.fdopen(writing, "wb") as chatter,
    ):
        for _ in range(45):
            chatter.write(b"a line of its own\n")
            chatter.flush()
            time.sleep(0.1)
    reader.join()
    output.flush()
    said = re.findall(r"^sandbox +\| (.*)$", capfd.readouterr().err, re.MULTILINE)
    assert len(said) == 2
    assert all(re.fullmatch(r"waiting for MongoDB to answer: \d s", line) for line in said)
    time.sleep(2.2)
    output.flush()
    assert capfd.readouterr().err == ""

"""A claim before reading: what a message says of its document is held against it."""

from __future__ import annotations

import pytest

from tests.unit.workers.test_pipeline import NOW, Line


@pytest.fixture
def line() -> Line:
    return Line()


def test_what_a_message_says_is_held_against_the_document(line: Line) -> None:
    """An import is claimed unread only for its own organization, while that one is served and it was never claimed:
    what a message says falsely, or too late, changes nothing."""
    one = line.put()
    line.organizations.add("other", name="Other", source={}, now=NOW)
    line.pipeline.run("fetch", one, "other")
    assert line.get(one)["status"] == "fetched", (
        "it was looked at first, and served as its own organization's"
    )
    line.pipeline.run("fetch", one, "org")
    assert (line.get(one)["status"], line.get(one)["fence"]) == ("fetched", 1)
    line.pipeline.run("render", one, "org")
    kept = line.get(one)
    assert (kept["status"], kept["fence"], kept["deliveries"]) == ("succeeded", 2, 0)
    assert [entry["fence"] for entry in kept["history"] if entry["event"] == "rendering"] == [2]
    two = line.put()
    line.organizations.disable("org", now=NOW)
    line.pipeline.run("fetch", two, "org")
    assert (line.get(two)["fence"], line.get(two)["waiting_for"]) == (0, "organization_enabled")

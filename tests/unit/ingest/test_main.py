"""Ids that the door makes are what everybody takes for a UUID of version 4."""

from __future__ import annotations

import uuid

from ingest.main import new_id


def test_an_id_is_a_uuid_of_version_four() -> None:
    """In its usual spelling, with version and variant where they belong, and never the same twice."""
    made = [new_id() for _ in range(2_000)]
    for one in made:
        read = uuid.UUID(one)
        assert str(read) == one
        assert (read.version, read.variant) == (4, uuid.RFC_4122)
    assert len(set(made)) == len(made)
    assert {one[19] for one in made} == set("89ab")

"""A child that keeps dying is started anew ever more slowly, but never later than two seconds."""

from __future__ import annotations

from pathlib import Path

from sandbox.child import Child


def test_pauses_grow_to_two_seconds() -> None:
    """The first restart is at once, the later ones wait longer, none waits more than two seconds."""
    child = Child("web", ["web"], {}, Path("/"), 0)
    pauses = [child.pause(now=1.0) for _ in range(8)]
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert pauses == sorted(pauses)
    assert max(pauses) == 2.0


def test_steady_child_begins_anew() -> None:
    """A child that lived for a while is started at once again when it dies."""
    child = Child("web", ["web"], {}, Path("/"), 0)
    for _ in range(8):
        child.pause(now=1.0)
    child.began = 100.0
    assert child.pause(now=200.0) == 0.1


def test_environment_is_not_shown() -> None:
    """A child's environment holds secrets and must not come out with a description of it."""
    assert "hush" not in repr(Child("web", ["web"], {"SECRET": "hush"}, Path("/"), 0))

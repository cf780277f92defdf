"""Name the moments between two steps, so that a test can end a process in exactly one of them.

The promise that nothing is lost or doubled is a promise about the moments between two writes, and luck hits
few of them. So the code says where it is, at each of them, and in production nobody listens: no setting and
no variable of the environment reaches this module, and a call costs one look at a name. The tests start the
processes through `tests/faults/crashing.py`, which listens, and kills its process at the point it is told.
"""

from __future__ import annotations

from collections.abc import Callable

listener: Callable[[str], None] | None = None


def reached(point: str) -> None:
    """Say that a step is done and the next one is not begun. `point` is `part.step_done`."""
    if listener is not None:
        listener(point)

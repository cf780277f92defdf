"""Decide beforehand, from a seed alone, which faults fall and when.

The kinds are dealt like cards: a shuffled deck, then another, so that each falls about equally often and a
run that is long enough meets all of them. The last fault is a blackout as posting ends: the hardest moment
to recover from, and the one from which recovery is measured.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

PER_MINUTE = 6.5
FEWEST = 8
QUIET_SECONDS = 2.0  # the first imports go through unharmed
POSTING = 0.9  # the part of a run in which imports are posted
LAST = "blackout"


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault: its kind, and when it falls, in seconds from the first post."""

    number: int
    kind: str
    at: float


def posting_seconds(minutes: float) -> float:
    """Return for how long imports are posted in a run of so many minutes."""
    return minutes * 60 * POSTING


def amount(minutes: float) -> int:
    """Return how many faults a run of so many minutes has unless told otherwise."""
    return max(FEWEST, round(minutes * PER_MINUTE))


def plan(seed: int, *, minutes: float, kinds: Sequence[str], faults: int) -> list[Planned]:
    """Return the faults of a run in order of time. The same arguments give the same plan."""
    chance = random.Random(f"schedule/{seed}")
    dealt: list[str] = []
    while len(dealt) < faults:
        deck = list(kinds)
        chance.shuffle(deck)
        dealt += deck
    dealt = dealt[:faults]
    if LAST in kinds and faults > 1:
        dealt[-1] = LAST
    end = posting_seconds(minutes)
    slot = (end - QUIET_SECONDS) / max(1, faults - 1)
    times = [QUIET_SECONDS + slot * (place + chance.uniform(0.0, 0.7)) for place in range(faults - 1)]
    return [
        Planned(number, kind, round(at, 2))
        for number, (kind, at) in enumerate(zip(dealt, [*times, end - 1.0], strict=True), 1)
    ]

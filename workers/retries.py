"""Say when a counted attempt is followed by the next one."""

from __future__ import annotations

import random

BASE_SECONDS = 2.0
CAP_SECONDS = 120.0
LEAST_SECONDS = 0.5
LONGEST_ASKED_SECONDS = 900.0


def delay(attempt: int, *, retry_after: float | None, chance: random.Random) -> float:
    """Return the seconds to wait after the attempt of this number (1 is the first).

    Full jitter under a doubling bound, so that many that failed together do not come back together. What
    the other side asked for is a floor, with up to a fifth added, and never undercut.
    """
    if retry_after is not None:
        asked = min(max(retry_after, 1.0), LONGEST_ASKED_SECONDS)
        return asked * (1 + chance.random() / 5)
    bound = min(CAP_SECONDS, BASE_SECONDS * 2.0 ** (attempt - 1))
    return max(LEAST_SECONDS, chance.uniform(0, bound))

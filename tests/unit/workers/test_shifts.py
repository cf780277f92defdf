"""What a worker process does around its threads."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from workers import main
from workers.main import Shifts


def test_work_begins_only_when_the_master_knows_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that kills its worker cannot kill it while it reports for duty, which would hang the master."""
    monkeypatch.setattr(main, "REPORT_SECONDS", 0.3)
    nothing: Any = None
    shifts = Shifts(leases=nothing, decoder=nothing, grace_seconds=1)
    answered: list[float] = []
    answer = shifts.once_on_duty(lambda _import_id: answered.append(time.monotonic()))
    working = threading.Thread(target=answer, args=("an import",))
    working.start()
    working.join(0.2)
    assert answered == [], "no report was made yet"
    reported = time.monotonic()
    shifts.after_worker_boot(nothing, nothing)
    working.join(10)
    assert answered[0] - reported >= 0.3
    answer("another one")
    assert len(answered) == 2

"""Run the product under faults: `python -m tests.chaos [--seed N …] [--imports N] [--minutes M] [--json FILE]`.

Exit code 0 where everything that is judged holds, 1 where something does not, 130 when it was broken off.
Nothing is left behind, but for the folder of a run that failed: its logs tell why.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.chaos import schedule
from tests.chaos.faults import KINDS
from tests.chaos.report import Report
from tests.chaos.run import Order, run
from tests.chaos.timeline import Timeline

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run each seed after the other; return the exit code."""
    given = _options(arguments)
    _end_on_request()
    timeline, reports = Timeline(), []
    for seed in given.seed:
        folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
        passed = None
        try:
            report = run(_order(given, seed, folder), timeline)
            passed = report.passed
        except KeyboardInterrupt:
            timeline.tell("broken off; everything was ended")
            return INTERRUPTED
        finally:
            if passed is False:
                timeline.tell(f"what is left of it, with the logs of every process, is in {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
        reports.append(report)
        timeline.tell("\n" + report.table() + "\n")
        if given.json is not None:
            _write(given.json, reports)
    return 0 if all(report.passed for report in reports) else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2, 3], help="one run each (1 2 3)")
    parser.add_argument("--imports", type=_at_least(1), default=1000, help="imports per run (1000)")
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="for how long posts and faults go on (10)"
    )
    parser.add_argument(
        "--faults", type=_at_least(0), help=f"faults per run ({schedule.PER_MINUTE:g} a minute, at least 8)"
    )
    parser.add_argument("--only", metavar="KIND,…", help="only these kinds of fault: " + ", ".join(KINDS))
    parser.add_argument(
        "--patience", type=float, default=120.0, help="seconds to wait for rest at the end (120)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there as well")
    given = parser.parse_args(arguments)
    given.kinds = [kind.strip() for kind in given.only.split(",")] if given.only else list(KINDS)
    if unknown := [kind for kind in given.kinds if kind not in KINDS]:
        parser.error(f"no such fault: {', '.join(unknown)}; there are: {', '.join(KINDS)}")
    return given


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if int(text) < least:
            raise ValueError
        return int(text)

    return parse


def _order(given: argparse.Namespace, seed: int, folder: Path) -> Order:
    return Order(
        seed=seed,
        imports=given.imports,
        minutes=given.minutes,
        faults=schedule.amount(given.minutes) if given.faults is None else given.faults,
        kinds=given.kinds,
        patience=given.patience,
        folder=folder,
    )


def _end_on_request() -> None:
    """Take SIGTERM and a closed terminal as Ctrl-C is taken, so that everything is ended then, too."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def _write(file: Path, reports: list[Report]) -> None:
    whole = {"passed": all(one.passed for one in reports), "runs": [one.as_json() for one in reports]}
    file.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

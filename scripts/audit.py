"""Ask whether a locked package has a known vulnerability: `python scripts/audit.py [LOCK]`.

Exit code 1 where one is known. Where nobody can be asked, that is said and nothing more: a missing net makes no run
red. pip-audit itself is no dependency of ours; it comes and goes with this run, and neither step waits for ever.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BRING_SECONDS = 180
ASK_SECONDS = 180


def main(arguments: list[str]) -> int:
    """Audit a lock, that of production where none is named."""
    lock = Path(arguments[0]) if arguments else ROOT / "requirements-production.lock"
    with tempfile.TemporaryDirectory() as folder:
        report = _asked(lock, Path(folder))
    if report is None:
        sys.stdout.write(
            f"{lock.name} was not audited: pip-audit, or the feed that it asks, cannot be reached.\n"
        )
        return 0
    code, sentences = judged(report)
    sys.stdout.write("".join(f"{sentence}\n" for sentence in sentences))
    return code


def _asked(lock: Path, folder: Path) -> Mapping[str, Any] | None:
    """Return pip-audit's report; None where there is none."""
    programs, answer = folder / "venv" / "bin", folder / "report.json"
    try:
        venv.create(folder / "venv", with_pip=True)
        _run([programs / "python", "-m", "pip", "install", "--quiet", "pip-audit"], BRING_SECONDS)
        asked = ["--requirement", lock, "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
        _run([programs / "pip-audit", *asked, "--format", "json", "--output", answer], ASK_SECONDS)
        return dict(json.loads(answer.read_text(encoding="utf-8")))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _run(words: Iterable[str | Path], seconds: float) -> None:
    # What went wrong shows in the report, or in there being none: exit code 1 may mean either.
    subprocess.run(  # noqa: S603 - the words are ours
        [str(word) for word in words], capture_output=True, timeout=seconds, check=False
    )


def judged(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Return the exit code that a report deserves, and what to say of it.

    A package that the feed does not know is not a sound one: pip-audit says of such packages, too, that no
    vulnerability is known.
    """
    packages = report["dependencies"]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    found = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for one in packages
        for flaw in one.get("vulns", ())
    ]
    said = [
        f"{len(packages) - len(skipped)} packages were audited, {len(found)} known vulnerabilities.",
        *found,
    ]
    if skipped:
        named = f"{', '.join(skipped[:5])}{' …' if len(skipped) > 5 else ''}"
        said.append(f"{len(skipped)} packages were NOT audited, the feed does not know them: {named}")
    return (1 if found else 0), said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

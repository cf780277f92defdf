"""What the tests of the house look at: the root of this checkout, its packages and its files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ingest", "workers", "common", "sandbox")
# Some rules speak of the whole: they say something only where both sides have their main module.
WHOLE = all((ROOT / side / "main.py").exists() for side in ("ingest", "workers"))


def sources(*folders: str) -> list[Path]:
    """Return every Python file below `folders` of the checkout, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the name by which a file of the checkout is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

"""The pages say what the code does: a setting, an error code or a decision that is not written down is red."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from common.settings import TABLE
from ingest.openapi import DOCUMENT
from tests.architecture.tree import ROOT, WHOLE, sources

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*DOCS, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)(#[^)]*)?\)")


def test_settings_page_is_the_table() -> None:
    """docs/reference/settings.md holds every row of the table with its default: `make docs` writes it."""
    spec = importlib.util.spec_from_file_location(
        "document_settings", ROOT / "scripts" / "document_settings.py"
    )
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert page == writer.page()
    assert all(f"| `{setting.name}` |" in page for setting in TABLE)


def test_env_example_names_what_exists() -> None:
    """Copying .env.example leaves nothing required out and sets nothing that nobody reads."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#?([A-Z_]+)=", text, flags=re.MULTILINE))
    others = (ROOT / "Procfile").read_text(encoding="utf-8") + (ROOT / "docker-compose.yml").read_text(
        encoding="utf-8"
    )
    known = {setting.name for setting in TABLE} | set(re.findall(r"\$\{([A-Z_]+)", others))
    required = {setting.name for setting in TABLE if setting.default is None}
    required |= set(re.findall(r"\$\{([A-Z_]+):\?", others))
    assert named <= known
    assert required <= set(re.findall(r"^([A-Z_]+)=$", text, flags=re.MULTILINE)), "required ones stand empty"


RAISERS = {"permanent", "transient", "throttled", "troubleerror", "problemerror", "badrequesterror"}


def codes() -> dict[str, str]:
    """Return each error code in the code, and where it is: raised, handed on as `code=`, or a key of a table."""
    found: dict[str, str] = {}
    for path in sources("workers", "ingest", "common"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", "")).strip("_").lower()
                given = node.args[:1] if name in RAISERS else []
                given += [word.value for word in node.keywords if word.arg == "code"]
                found |= {str(one.value): where for one in given if isinstance(one, ast.Constant)}
            elif isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                given = [
                    value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "code"
                ]
                found |= {str(one.value): where for one in given if isinstance(one, ast.Constant)}
            elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if getattr(target, "id", "") in ("CODES", "SENTENCES"):
                    keys = node.value.keys
                    found |= {str(key.value): where for key in keys if isinstance(key, ast.Constant)}
    return {code: where for code, where in found.items() if re.fullmatch(r"[a-z]+(_[a-z]+)*", code)}


def test_error_codes_are_documented() -> None:
    """Whoever meets a code, in an import or in an answer, finds it on one page, with what to do."""
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    missing = {code: where for code, where in codes().items() if f"| `{code}` |" not in page}
    assert not missing


@pytest.mark.skipif(not WHOLE, reason="says something only where both sides have their main module")
def test_no_documented_code_is_an_invention() -> None:
    """A code on the page that nobody raises sends people looking for what cannot happen."""
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    assert not set(re.findall(r"^\| `([a-z_]+)` \|", page, flags=re.MULTILINE)) - set(codes())


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """A link between our own pages, or from a page into the code, never leads into the void."""
    broken = [
        target
        for target, _ in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_page_is_in_the_index() -> None:
    """A page that docs/README.md does not lead to is found by nobody; the decisions are read by their numbers."""
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / target).resolve() for target, _ in LINK.findall(index.read_text(encoding="utf-8"))
    }
    assert ROOT / "docs" / "decisions" in linked
    assert {page for page in DOCS if page.parent.name != "decisions"} - {index} <= linked


def test_decisions_are_numbered() -> None:
    """Each decision has a number of its own, so that it can be named."""
    numbers = [path.name[:4] for path in (ROOT / "docs" / "decisions").glob("*.md")]
    assert all(number.isdigit() for number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_every_route_is_documented() -> None:
    """Whoever reads the page of the HTTP interface knows every route that is served, and none that is not."""
    page = (ROOT / "docs" / "reference" / "http-api.md").read_text(encoding="utf-8")
    served = {
        re.sub(r"\{\w*id\}", "{id}", f"{method.upper()} {path}")
        for path, methods in DOCUMENT["paths"].items()
        for method in methods
        if method != "head"
    }
    written = re.findall(r"`((?:GET|POST) /[^`?]*)`", page)
    assert {re.sub(r"\{\w*id\}", "{id}", one) for one in written} == served

"""The pages say what the code does: a setting, an error code or a decision that is not written down is red."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from common.documents.statuses import STATUSES
from common.settings import TABLE
from common.telemetry import metrics
from tests.architecture.tree import ROOT, WHOLE, sources
from workers.gates import DISABLED
from workers.sources.salesforce import verdicts

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*DOCS, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)(#[^)]*)?\)")


def written_by(script: str) -> str:
    """Return the page that a script makes from the code."""
    spec = importlib.util.spec_from_file_location(script, ROOT / "scripts" / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    return str(writer.page())


def reference(name: str) -> str:
    """Return a page of docs/reference."""
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def rows(page: str, heading: str) -> set[str]:
    """Return the first cells of the table that follows a heading."""
    part = page.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    return set(re.findall(r"^\| `([^`]+)` \|", part, flags=re.MULTILINE))


def test_settings_page_is_the_table() -> None:
    """docs/reference/settings.md holds every row of the table with its default: `make docs` writes it."""
    page = reference("settings.md")
    assert page == written_by("document_settings")
    assert all(f"| `{setting.name}` |" in page for setting in TABLE)


def test_cli_page_is_the_command() -> None:
    """docs/reference/cli.md holds every verb with its words and options: `make docs` writes it."""
    assert reference("cli.md") == written_by("document_commands")


def test_guides_name_verbs_that_exist() -> None:
    """A command that a page tells someone to type is one that there is."""
    verbs = re.findall(r"^## imports (.+)$", reference("cli.md"), flags=re.MULTILINE)
    for page in PAGES:
        for words in re.findall(
            r"(?:`|bin/)imports ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", page.read_text(encoding="utf-8")
        ):
            assert any(f"{words} ".startswith(f"{verb} ") for verb in verbs), f"{page.name}: imports {words}"


def test_metrics_are_documented() -> None:
    """Each metric stands on the page under the name and with the labels that Prometheus sees, and no other does."""
    page = reference("metrics.md")
    known = {one.name: one.labels for one in vars(metrics).values() if isinstance(one, metrics.Metric)}
    known |= {one.name: one.labels for one in metrics.TALLIES.values()}
    cells = re.findall(r"^\| `(imports_\w+)` \| (\w+) \| ([^|]*)\|", page, flags=re.MULTILINE)
    told = {
        (name.removesuffix("_total") if kind == "counter" else name): tuple(re.findall(r"`(\w+)`", labels))
        for name, kind, labels in cells
    }
    assert told == known


def constants(path: str, pick: Callable[[ast.AST], Iterable[ast.expr]]) -> set[str]:
    """Return the text constants among what `pick` takes from the nodes of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {
        one.value
        for node in ast.walk(tree)
        for one in pick(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }


def waited_for(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what a node says that an import waits for."""
    if isinstance(node, ast.keyword) and node.arg == "waiting_for":
        yield node.value
    elif isinstance(node, ast.Dict):
        yield from (
            value
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and key.value == "waiting_for"
        )


def test_statuses_and_reasons_to_wait_are_documented() -> None:
    """Whatever an import can be, or wait for, is explained on one page, and nothing that does not occur."""
    page = reference("statuses.md")
    assert rows(page, "Of an import") == set(STATUSES)
    paths = [str(path.relative_to(ROOT)) for path in sources("workers", "common")]
    found = set().union(*(constants(path, waited_for) for path in paths))
    found |= {
        "record",
        DISABLED,
        verdicts.ORGANIZATION,
        verdicts.QUOTA,
    }  # those that are handed on under a name
    assert rows(page, "What an open import waits for") == found


def outcomes(node: ast.AST) -> Iterator[ast.expr]:
    """Yield how a node of the pipeline says that a stage ended."""
    if (isinstance(node, ast.Return) and node.value is not None) or (
        isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "outcome"
    ):
        yield node.value


def test_outcomes_are_documented() -> None:
    """Each `outcome` of the log and the metrics is explained."""
    assert rows(reference("statuses.md"), "How a stage ends") == constants("workers/pipeline.py", outcomes)


HTTP_API = ROOT / "docs" / "reference" / "http-api.md"


@pytest.mark.skipif(not HTTP_API.exists(), reason="there is no docs/reference/http-api.md in this checkout")
def test_routes_are_documented() -> None:
    """Each route of the table in ingest/app.py stands on the page of the HTTP interface."""

    def paths(node: ast.AST) -> Iterator[ast.expr]:
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            yield node.elts[0]

    routes = {path for path in constants("ingest/app.py", paths) if path.startswith("/")}
    assert "/api/v1/imports" in routes
    # A page may call an id simply `{id}`, as clients do.
    page = re.sub(r"\{\w+\}", "{}", HTTP_API.read_text(encoding="utf-8"))
    assert not {path for path in routes if re.sub(r"\{\w+\}", "{}", path) not in page}


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

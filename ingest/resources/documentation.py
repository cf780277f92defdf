"""Serve what the product says of itself: the OpenAPI description, a page to read it on, and the pages' style."""

from __future__ import annotations

from typing import Any

from falcon.asgi import Request, Response

from ingest import openapi, pages, present
from ingest.pages import Markup, prose, tag

EXAMPLE = """curl "$BASE_URL/api/v1/imports" \\
  -H "Authorization: Token token=\\"$TOKEN\\"" \\
  -d attachment_id=00P4I00000zyw3eUAA -d filename=Image123.jpg

curl "$BASE_URL/api/v1/imports/$ID" -H "Authorization: Token token=\\"$TOKEN\\""
"""


class OpenApiResource:
    """GET /openapi.json."""

    access = "public"

    def __init__(self) -> None:
        self._written = present.json_bytes(openapi.DOCUMENT)

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Answer with the description."""
        resp.data = self._written

    on_head = on_get


class DocsResource:
    """GET /docs: made from the same description, so that the two cannot differ."""

    access = "public"

    def __init__(self) -> None:
        self._written = _page(openapi.DOCUMENT)

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Answer with the page."""
        resp.data = self._written
        resp.context.own += pages.HEADERS

    on_head = on_get


class StyleResource:
    """GET /style.css."""

    access = "public"

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Answer with the style of all pages."""
        resp.data = pages.STYLE.encode()
        resp.context.own.append(("Content-Type", "text/css; charset=utf-8"))

    on_head = on_get


def _page(document: dict[str, Any]) -> bytes:
    info = document["info"]
    sections: list[Markup] = []
    for path, methods in document["paths"].items():
        # HEAD answers as GET does, so the two are one section.
        said = next(iter(methods.values()))
        named = f"{', '.join(method.upper() for method in methods)} {path}"
        sections.append(tag("h2", said["summary"]))
        sections.append(tag("p", tag("code", named)))
        sections.append(tag("p", prose(said["description"])))
        parameters = _parameters(said)
        if parameters:
            sections.append(pages.table(("Parameter", "In", "Meaning"), parameters))
        answers = [
            (
                tag("code", status),
                prose(answer.get("description") or _shared(document, answer)["description"]),
            )
            for status, answer in said["responses"].items()
        ]
        sections.append(pages.table(("Status", "When"), answers))
    return pages.page(
        f"{info['title']} · documentation",
        tag("header", tag("h1", info["title"]), tag("p", info["description"])),
        tag(
            "main",
            tag("pre", EXAMPLE),
            tag("p", "The same for machines: ", tag("a", "/openapi.json", href="/openapi.json"), "."),
            *sections,
        ),
    )


def _parameters(said: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows = [
        (tag("code", one["name"]), one["in"], prose(one["description"])) for one in said.get("parameters", ())
    ]
    content = said.get("requestBody", {}).get("content", {})
    form = content.get("application/x-www-form-urlencoded", {}).get("schema", {})
    name = form.get("$ref", "").rpartition("/")[2]
    properties = openapi.DOCUMENT["components"]["schemas"][name]["properties"] if name else {}
    return rows + [(tag("code", name), "body", prose(one["description"])) for name, one in properties.items()]


def _shared(document: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return found

"""Say what the descriptions of all routes are made of: small schemas, references, a GET with its HEAD."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

UUID: Schema = {"type": "string", "format": "uuid"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
TIME: Schema = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Schema = {**TIME, "type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
SIZE: Schema = {"type": "integer", "minimum": 1}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
BYTES: Schema = {
    "description": "The bytes. ETag is their digest; If-None-Match with it answers 304.",
    "content": {"image/*": {}, "application/octet-stream": {}},
}
UNCHANGED: Schema = {"304": {"description": "The caller has these bytes already."}}
PAGE: Schema = {"description": "A page.", "content": {"text/html": {}}}


def object_(properties: Schema, *, known: Schema | None = None, **more: Any) -> Schema:
    """Describe an object that has all of `properties`, and of `known` those that are known."""
    every = {**properties, **(known or {})}
    return {"type": "object", "properties": every, "required": list(properties), **more}


def ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


def responses(success: Schema, *problems: str) -> Schema:
    return {"200": success, **{status: ref("responses", f"Problem{status}") for status in problems}}


def json(description: str, schema: str, **more: Any) -> Schema:
    content = {"application/json": {"schema": ref("schemas", schema)}}
    return {"description": description, "content": content, **more}


def get(  # noqa: PLR0913 - all of it by keyword
    name: str,
    *,
    summary: str,
    description: str,
    success: Schema,
    problems: tuple[str, ...],
    parameters: tuple[str, ...] = (),
    security: str | None = None,
    more: Schema | None = None,
) -> Schema:
    """Describe GET, and HEAD, which answers the same without a body."""
    said: Schema = {"summary": summary, "description": description}
    if parameters:
        said["parameters"] = [parameter(name) for name in parameters]
    said["responses"] = {**responses(success, *problems), **(more or {})}
    said["security"] = [] if security is None else [{security: []}]
    bare = {"description": said["responses"]["200"]["description"]}
    head = {**said, "operationId": f"head_{name}", "responses": {**said["responses"], "200": bare}}
    return {"get": {**said, "operationId": f"get_{name}"}, "head": head}


def parameter(name: str) -> Schema:
    """Describe a parameter of a GET: of its path, or of its query where it stands in `QUERY`."""
    schema, description = PARAMETERS[name]
    queried = name in QUERY
    return {
        "name": name,
        "in": "query" if queried else "path",
        "required": not queried,
        "schema": schema,
        "description": description,
    }


QUERY = frozenset({"cursor", "limit", "session"})
PARAMETERS: dict[str, tuple[Schema, str]] = {
    "import_id": (UUID, "Id of the import, as POST answered it."),
    "image_id": (UUID, "Id of the image: `image_id` of its import."),
    "group_id": (UUID, "Id of the group, as POST answered it."),
    "cursor": ({"type": "string"}, "Where the page begins, as `links.next` has it."),
    "session": (
        {"type": "string"},
        "A session that was begun with the password, as the sandbox's link brings it.",
    ),
    "limit": (
        {"type": "integer", "minimum": 1, "maximum": 200},
        "Imports on a page; 100 where it is left out.",
    ),
    "name": ({"type": "string", "enum": ["large", "medium", "small"]}, "Name of the thumbnail."),
}

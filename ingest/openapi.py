"""Describe the HTTP interface as OpenAPI 3.1: exactly the routes that exist, for clients and for tests."""

from __future__ import annotations

from typing import Any

from common.documents.imports import STATUSES
from ingest.errors import CODES

Schema = dict[str, Any]

_UUID: Schema = {"type": "string", "format": "uuid"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {**_TIME, "type": ["string", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SIZE: Schema = {"type": "integer", "minimum": 1}
_DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def _object(properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), **more}


PARAMETERS: Schema = {
    "type": "object",
    "description": "All are optional, and echoed whatever they hold; where text is meant, anything else counts "
    "as absent. Parameters of other names are echoed as well.",
    "properties": {
        "album_id": {"description": "Album of the image: any text.", "examples": ["5005800000HEXCtAAP"]},
        "filename": {"description": "Name of the image file.", "examples": ["Image123.jpg"]},
        "import_type": {"description": "Source; `salesforce` if left out.", "examples": ["salesforce"]},
        "metadatas": {
            "description": "Whatever is to be kept with the image, as `metadatas[name]=value` in a form.",
            "examples": [{"attachmentId": "00P4I00000zyw3eUAA"}],
        },
        "attachment_id": {
            "description": "Salesforce id of the attachment or file, 15 or 18 characters. Without a possible one "
            "the import is recorded as failed, with a code that says why.",
            "examples": ["00P4I00000zyw3eUAA"],
        },
    },
    "additionalProperties": True,
}

_IMPORT: Schema = {
    "id": _UUID,
    "organization_id": _UUID,
    "image_id": {"type": ["string", "null"], "format": "uuid", "description": "null until the image exists."},
    "import_type": _TEXT_OR_NULL,
    "album_id": _TEXT_OR_NULL,
    "params": {"type": "object", "additionalProperties": True, "description": "What was sent, as an echo."},
    "created_at": _TIME,
    "updated_at": _TIME,
}
_ERROR: Schema = {
    "type": ["object", "null"],
    "description": "Why the import failed.",
    "properties": {
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "retryable": {"type": "boolean"},
    },
}
_IMPORT_STATE: Schema = {
    **_IMPORT,
    "status": {"type": "string", "enum": list(STATUSES)},
    "error": _ERROR,
    "attempts": _COUNT,
    "calls": _COUNT,
    "waiting_for": _TEXT_OR_NULL,
    "expected_at": _TIME_OR_NULL,
    "next_attempt_at": _TIME_OR_NULL,
    "stages": {"type": "object", "additionalProperties": {"type": "object"}},
    "links": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
}
_THUMBNAIL = _object(
    {
        "name": {"type": "string", "enum": ["large", "medium", "small"]},
        "url": {"type": "string"},
        "width": _SIZE,
        "height": _SIZE,
        "content_type": {"type": "string"},
        "bytes": _COUNT,
        "sha256": _DIGEST,
    }
)
_IMAGE: Schema = {
    "id": _UUID,
    "organization_id": _UUID,
    "import_id": _UUID,
    "album_id": _TEXT_OR_NULL,
    "filename": _TEXT_OR_NULL,
    "content_type": _TEXT_OR_NULL,
    "width": _SIZE,
    "height": _SIZE,
    "bytes": _COUNT,
    "sha256": _DIGEST,
    "metadatas": {"description": "As they were sent."},
    "original": _object({"url": {"type": "string"}}),
    "thumbnails": {"type": "array", "items": _THUMBNAIL},
    "created_at": _TIME,
}
_PROBLEM = _object(
    {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "error": {"type": "string"},
        "code": {"type": "string", "enum": sorted(CODES)},
        "request_id": {"type": "string"},
    }
)

_PROBLEMS = {
    "400": "The request cannot be read.",
    "401": "No valid token (or operator's password) was sent.",
    "403": "Only this machine is served while OPERATOR_PASSWORD is not set.",
    "404": "It is not there, or it is not the caller's: nobody can tell which.",
    "408": "The body did not arrive in time.",
    "411": "The body came with Transfer-Encoding and without Content-Length.",
    "413": "The body is too large.",
    "415": "The body is of a kind, or in an encoding, that is not read.",
    "422": "The Idempotency-Key was sent with other parameters before.",
    "503": "A store is away; nothing was changed. Retry-After says when to come back.",
}


def _ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


def _responses(success: Schema, *problems: str) -> Schema:
    return {"200": success, **{status: _ref("responses", f"Problem{status}") for status in problems}}


def _json(description: str, schema: str, **more: Any) -> Schema:
    content = {"application/json": {"schema": _ref("schemas", schema)}}
    return {"description": description, "content": content, **more}


def _get(  # noqa: PLR0913 - all of it by keyword
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
        said["parameters"] = [_ref_free(name) for name in parameters]
    said["responses"] = {**_responses(success, *problems), **(more or {})}
    said["security"] = [] if security is None else [{security: []}]
    bare = {"description": said["responses"]["200"]["description"]}
    head = {**said, "operationId": f"head_{name}", "responses": {**said["responses"], "200": bare}}
    return {"get": {**said, "operationId": f"get_{name}"}, "head": head}


def _ref_free(name: str) -> Schema:
    schema, description = _PATH_PARAMETERS[name]
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


_PATH_PARAMETERS: dict[str, tuple[Schema, str]] = {
    "import_id": (_UUID, "Id of the import, as POST answered it."),
    "image_id": (_UUID, "Id of the image: `image_id` of its import."),
    "name": ({"type": "string", "enum": ["large", "medium", "small"]}, "Name of the thumbnail."),
}
_BYTES: Schema = {
    "description": "The bytes. ETag is their digest; If-None-Match with it answers 304.",
    "content": {"image/*": {}, "application/octet-stream": {}},
}
_UNCHANGED: Schema = {"304": {"description": "The caller has these bytes already."}}
_PAGE: Schema = {"description": "A page.", "content": {"text/html": {}}}
_TOKEN_PROBLEMS = ("401", "404", "411", "503")
_BODY: Schema = {
    "content": {
        "application/x-www-form-urlencoded": {"schema": _ref("schemas", "Parameters")},
        "multipart/form-data": {"schema": _ref("schemas", "Parameters")},
        "application/json": {
            "schema": {"description": "An object of the same parameters; anything else is echoed as `_json`."}
        },
    }
}

_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {
        "type": "string",
        "pattern": r'^([!#-~]([ -~]{0,253}[!-~])?|"([ !#-\[\]-~]|\\["\\]){1,255}")$',
    },
    "description": "A name of your own for this request, bare or in double quotes; it counts inside your "
    "organization. Repeated with equal parameters, in whatever order, it answers the import that there is.",
}

_PATHS: Schema = {
    "/api/v1/imports": {
        "post": {
            "operationId": "ask_for_import",
            "summary": "Ask for an import",
            "description": "Answers 200 when the import is durably recorded. A second request makes a second "
            "import, unless both have the same Idempotency-Key. Query parameters win over those of the body.",
            "parameters": [_KEY],
            "requestBody": _BODY,
            "responses": _responses(
                _json(
                    "The import is recorded. `X-token` is the caller's token, renewed.",
                    "Import",
                    headers={
                        "Location": {"schema": {"type": "string"}, "description": "Where GET shows it."},
                        "X-token": {"schema": {"type": "string"}, "description": "The token, renewed."},
                        "Idempotent-Replayed": {
                            "schema": {"const": "true"},
                            "description": "Sent where an earlier request with this key made the import; it is "
                            "shown as it is now.",
                        },
                    },
                    links={
                        "import": {
                            "operationId": "get_import",
                            "parameters": {"import_id": "$response.body#/id"},
                        }
                    },
                ),
                *("400", "401", "408", "411", "413", "415", "422", "503"),
            ),
            "security": [{"token": []}],
        }
    },
    "/api/v1/imports/{import_id}": _get(
        "import",
        summary="See how far an import is",
        description="The import as POST answered it, then its state. `image_id` is set when the image exists.",
        success=_json(
            "The import.",
            "ImportState",
            links={
                f"{verb}_image": {
                    "operationId": f"{verb}_image",
                    "parameters": {"image_id": "$response.body#/image_id"},
                }
                for verb in ("get", "head")
            },
        ),
        problems=_TOKEN_PROBLEMS,
        parameters=("import_id",),
        security="token",
    ),
    "/api/v1/images/{image_id}": _get(
        "image",
        summary="See what an import brought",
        description="Sizes are as a person sees the picture. The `url`s are fetched with the same token.",
        success=_json(
            "The image entry.",
            "Image",
            links={
                f"{verb}_{name}": {
                    "operationId": f"{verb}_{name}",
                    "parameters": {"image_id": "$response.body#/id"},
                }
                for verb in ("get", "head")
                for name in ("original", "thumbnail", "dashboard_thumbnail")
            },
        ),
        problems=_TOKEN_PROBLEMS,
        parameters=("image_id",),
        security="token",
    ),
    "/api/v1/images/{image_id}/original": _get(
        "original",
        summary="Fetch the original",
        description="The very bytes that came from the source, as a download.",
        success=_BYTES,
        problems=_TOKEN_PROBLEMS,
        parameters=("image_id",),
        security="token",
        more=_UNCHANGED,
    ),
    "/api/v1/images/{image_id}/thumbnails/{name}": _get(
        "thumbnail",
        summary="Fetch a thumbnail",
        description="Re-encoded, without any metadata.",
        success=_BYTES,
        problems=_TOKEN_PROBLEMS,
        parameters=("image_id", "name"),
        security="token",
        more=_UNCHANGED,
    ),
    "/livez": _get(
        "life",
        summary="Tell whether the process lives",
        description="Asks no store.",
        success={"description": "It lives.", "content": {"application/json": {}}},
        problems=("411",),
    ),
    "/readyz": _get(
        "readiness",
        summary="Tell whether requests can be served",
        description="503 while MongoDB cannot be reached; Redis being away is told in a 200.",
        success={"description": "They can.", "content": {"application/json": {}}},
        problems=("411",),
        more={"503": {"description": "Not now.", "content": {"application/json": {}}}},
    ),
    "/metrics": _get(
        "metrics",
        summary="Metrics in the text format of Prometheus",
        description="For the operator. Answers 200 while stores are away.",
        success={"description": "The metrics.", "content": {"text/plain": {}}},
        problems=("401", "403", "411"),
        security="operator",
    ),
    "/dashboard": _get(
        "dashboard",
        summary="A page that shows what happens",
        description="For the operator. Refreshes itself.",
        success=_PAGE,
        problems=("401", "403", "411"),
        security="operator",
    ),
    "/dashboard/images/{image_id}/{name}": _get(
        "dashboard_thumbnail",
        summary="A thumbnail on the operator's page",
        description="For the operator, of whichever organization.",
        success=_BYTES,
        problems=("401", "403", "404", "411", "503"),
        parameters=("image_id", "name"),
        security="operator",
        more=_UNCHANGED,
    ),
    "/openapi.json": _get(
        "description",
        summary="This description",
        description="OpenAPI 3.1.",
        success={"description": "The description.", "content": {"application/json": {}}},
        problems=("411",),
    ),
    "/docs": _get(
        "docs",
        summary="This description for people",
        description="A page without script.",
        success=_PAGE,
        problems=("411",),
    ),
    "/style.css": _get(
        "style",
        summary="The style of the pages",
        description="One sheet for all of them.",
        success={"description": "The sheet.", "content": {"text/css": {}}},
        problems=("411",),
    ),
}

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Import API",
        "version": "1",
        "description": "Brings picture attachments from Salesforce into an image library.",
    },
    "paths": _PATHS,
    "components": {
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": '`Authorization: Token token="…"` or `Authorization: Bearer …`.',
            },
            "operator": {
                "type": "http",
                "scheme": "basic",
                "description": "User `operator` with OPERATOR_PASSWORD; without that setting, this machine only.",
            },
        },
        "schemas": {
            "Parameters": PARAMETERS,
            "Import": _object(_IMPORT, additionalProperties=False),
            "ImportState": _object(_IMPORT_STATE),
            "Image": _object(_IMAGE),
            "Problem": _PROBLEM,
        },
        "responses": {
            f"Problem{status}": {
                "description": description,
                "content": {"application/problem+json": {"schema": _ref("schemas", "Problem")}},
            }
            for status, description in _PROBLEMS.items()
        },
    },
}

"""Describe the HTTP interface as OpenAPI 3.1: exactly the routes that exist, for clients and for tests."""

from __future__ import annotations

from typing import Any

from common.documents.statuses import STATUSES
from ingest import openapi_groups, openapi_operator
from ingest.errors import CODES
from ingest.openapi_parts import (
    BYTES,
    COUNT,
    DIGEST,
    PAGE,
    SIZE,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UNCHANGED,
    UUID,
    Schema,
    get,
    json,
    object_,
    ref,
    responses,
)

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
    "id": UUID,
    "organization_id": UUID,
    "image_id": {"type": ["string", "null"], "format": "uuid", "description": "null until the image exists."},
    "import_type": TEXT_OR_NULL,
    "album_id": TEXT_OR_NULL,
    "params": {"type": "object", "additionalProperties": True, "description": "What was sent, as an echo."},
    "created_at": TIME,
    "updated_at": TIME,
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
    "attempts": COUNT,
    "calls": COUNT,
    "waiting_for": TEXT_OR_NULL,
    "expected_at": TIME_OR_NULL,
    "next_attempt_at": TIME_OR_NULL,
    "stages": {"type": "object", "additionalProperties": {"type": "object"}},
    "links": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
}
_IMPORT_KNOWN: Schema = {
    "duplicate_of": {**UUID, "description": "An earlier image of the organization with the same bytes."}
}
_THUMBNAIL = object_(
    {
        "name": {"type": "string", "description": "Always large, medium and small; others by recipe."},
        "url": {"type": "string"},
        "width": SIZE,
        "height": SIZE,
        "content_type": {"type": "string"},
        "bytes": COUNT,
        "sha256": DIGEST,
    }
)
_IMAGE: Schema = {
    "id": UUID,
    "organization_id": UUID,
    "import_id": UUID,
    "album_id": TEXT_OR_NULL,
    "filename": TEXT_OR_NULL,
    "content_type": TEXT_OR_NULL,
    "width": SIZE,
    "height": SIZE,
    "bytes": COUNT,
    "sha256": DIGEST,
    "metadatas": {"description": "As they were sent."},
    "original": object_({"url": {"type": "string"}}),
    "thumbnails": {"type": "array", "items": _THUMBNAIL},
    "created_at": TIME,
}
_NUMBERS: Schema = {"type": "object", "additionalProperties": {"type": "number"}}
_SEEN = (
    "taken_at",
    "camera",
    "lens",
    "placeholder",
    "dhash",
    "dominant_color",
    "format",
    "color_space",
    "recipe",
)
_IMAGE_KNOWN: Schema = {
    **{name: {"type": "string"} for name in _SEEN},
    "exposure": _NUMBERS,
    "gps": _NUMBERS,
    "frames": SIZE,
    "orientation": {"type": "integer", "minimum": 1, "maximum": 8},
    "partial": {"type": "boolean"},
}
_PROBLEM = object_(
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
    "404": "It is not there, or it is not the caller's: nobody can tell which.",
    "408": "The body did not arrive in time.",
    "411": "The body came with Transfer-Encoding and without Content-Length.",
    "413": "The body is too large.",
    "415": "The body is of a kind, or in an encoding, that is not read.",
    "409": "Workers move it on just now; ask again.",
    "422": "It can be read and has no possible meaning; `errors` names the parameters; or the Idempotency-Key was sent with others before.",
    "429": "Too many requests or dry runs of the organization are under way, or credentials failed too often. Retry-After says when to come back.",
    "503": "A store is away; nothing was changed. Retry-After says when to come back.",
}


_TOKEN_PROBLEMS = ("401", "404", "411", "429", "503")
_BODY: Schema = {
    "content": {
        "application/x-www-form-urlencoded": {"schema": ref("schemas", "Parameters")},
        "multipart/form-data": {"schema": ref("schemas", "Parameters")},
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
            "parameters": [_KEY, openapi_groups.DRY_RUN],
            "requestBody": _BODY,
            "responses": responses(
                json(
                    "The import is recorded. `X-token` is the caller's token, renewed.",
                    "ImportOrDryRun",
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
                *("400", "401", "408", "411", "413", "415", "422", "429", "503"),
            ),
            "security": [{"token": []}],
        }
    },
    "/api/v1/imports/{import_id}": get(
        "import",
        summary="See how far an import is",
        description="The import as POST answered it, then its state. `image_id` is set when the image exists.",
        success=json(
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
    "/api/v1/images/{image_id}": get(
        "image",
        summary="See what an import brought",
        description="Sizes are as a person sees the picture. The `url`s are fetched with the same token.",
        success=json(
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
    "/api/v1/images/{image_id}/original": get(
        "original",
        summary="Fetch the original",
        description="The very bytes that came from the source, as a download.",
        success=BYTES,
        problems=_TOKEN_PROBLEMS,
        parameters=("image_id",),
        security="token",
        more=UNCHANGED,
    ),
    "/api/v1/images/{image_id}/thumbnails/{name}": get(
        "thumbnail",
        summary="Fetch a thumbnail",
        description="Re-encoded, without any metadata.",
        success=BYTES,
        problems=_TOKEN_PROBLEMS,
        parameters=("image_id", "name"),
        security="token",
        more=UNCHANGED,
    ),
    "/livez": get(
        "life",
        summary="Tell whether the process lives",
        description="Asks no store.",
        success={"description": "It lives.", "content": {"application/json": {}}},
        problems=("411",),
    ),
    "/readyz": get(
        "readiness",
        summary="Tell whether requests can be served",
        description="503 while MongoDB cannot be reached; Redis being away is told in a 200.",
        success={"description": "They can.", "content": {"application/json": {}}},
        problems=("411",),
        more={"503": {"description": "Not now.", "content": {"application/json": {}}}},
    ),
    "/openapi.json": get(
        "description",
        summary="This description",
        description="OpenAPI 3.1.",
        success={"description": "The description.", "content": {"application/json": {}}},
        problems=("411",),
    ),
    "/docs": get(
        "docs",
        summary="This description for people",
        description="A page without script.",
        success=PAGE,
        problems=("411",),
    ),
    "/style.css": get(
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
    "paths": {**_PATHS, **openapi_operator.PATHS, **openapi_groups.PATHS},
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
                "description": "User `operator` with OPERATOR_PASSWORD; without that setting nothing of the operator's is served.",
            },
        },
        "schemas": {
            "Parameters": PARAMETERS,
            "Import": object_(_IMPORT, additionalProperties=False),
            "ImportState": object_(_IMPORT_STATE, known=_IMPORT_KNOWN),
            "Image": object_(_IMAGE, known=_IMAGE_KNOWN),
            **openapi_groups.SCHEMAS,
            "Problem": _PROBLEM,
        },
        "responses": {
            f"Problem{status}": {
                "description": description,
                "content": {"application/problem+json": {"schema": ref("schemas", "Problem")}},
            }
            for status, description in _PROBLEMS.items()
        },
    },
}

"""Describe the routes of import groups, and what a dry run answers."""

from __future__ import annotations

from common.documents.statuses import STATUSES
from ingest.openapi_parts import (
    COUNT,
    TEXT_OR_NULL,
    TIME,
    UUID,
    Schema,
    get,
    json,
    object_,
    parameter,
    ref,
    responses,
)
from ingest.present_group import SHOWN_STATUSES

_KINDS = ["Attachment", "ContentVersion"]
DRY_RUN: Schema = {
    "name": "dry_run",
    "in": "query",
    "required": False,
    "schema": {"type": "string", "enum": ["true", "online", "false"]},
    "description": "`true` judges the request and writes nothing; `online` also asks the source, within 10 seconds.",
}


def _left_out_or(description: str, schema: Schema, **more: object) -> Schema:
    """Describe an option that null and the empty text leave to its default, as an empty field of a form does."""
    return {"description": description, "anyOf": [schema, {"enum": [None, ""]}], **more}


GROUP_PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        "album_id": {
            "type": "string",
            "pattern": "^500[A-Za-z0-9]{12}([A-Z0-5]{3})?$",
            "description": "Salesforce id of a Case: 15 characters, or 18 whose last three are the right check letters.",
            "examples": ["5005800000HEXCtAAP"],
        },
        "import_type": _left_out_or(
            "Kind of source; `salesforce` where it is left out.", {"const": "salesforce"}
        ),
        "created_since": _left_out_or(
            "Only what was created since: a date or a time, in UTC where it names no zone.",
            {"type": "string", "format": "date-time"},
            examples=["2026-03-01T08:00:00Z"],
        ),
        "max_bytes": _left_out_or(
            "Only what is not larger; a number, in a form as text.",
            {
                "anyOf": [
                    {"type": "integer", "minimum": 1, "maximum": 10**12 - 1},
                    {"pattern": "^[1-9][0-9]{0,11}$"},
                ]
            },
            examples=[10485760],
        ),
        "kinds": _left_out_or(
            "Only these kinds of record: a list, or their names with commas.",
            {
                "anyOf": [
                    {"type": "array", "items": {"enum": _KINDS}, "minItems": 1, "maxItems": 16},
                    {"enum": _KINDS},
                ]
            },
            examples=[["Attachment"]],
        ),
        "include_emails": _left_out_or(
            "Whether what hangs on the Case's mails is brought as well; on by default.",
            {"enum": [True, False, "true", "false"]},
        ),
    },
    "required": ["album_id"],
    "additionalProperties": True,
}
_STATES = object_(dict.fromkeys(STATUSES, COUNT))
_PROBLEMS: Schema = {
    "type": "array",
    "items": object_({"code": {"type": "string"}, "detail": {"type": "string"}}),
}
SCHEMAS: Schema = {
    "GroupParameters": GROUP_PARAMETERS,
    "Group": {
        **object_(
            {
                "id": UUID,
                "album_id": {"type": "string"},
                "status": {"type": "string", "enum": list(SHOWN_STATUSES)},
                "counts": {**_STATES, "description": "Imports of the group in each state."},
                "existing": {**COUNT, "description": "Records that had an import by an earlier group."},
                "skipped": {
                    "type": "array",
                    "description": "Records that were left out, and why; at most 10,000 of them.",
                    "items": object_({"record_id": {"type": "string"}, "code": {"type": "string"}}),
                },
                "created_at": TIME,
            }
        ),
        "description": "`skipped_counts` is added where records were left out, `error` where the album could not be"
        " listed, `waiting_for` where that waits.",
    },
    "ImportPage": object_(
        {
            "data": {"type": "array", "items": ref("schemas", "ImportState")},
            "links": object_(
                {"next": {**TEXT_OR_NULL, "description": "The next page; null on the last one."}}
            ),
        }
    ),
    "DryRun": {
        **object_(
            {
                "dry_run": {"const": True},
                "accepted": {"type": "boolean", "description": "Whether nothing stands in the way."},
                "problems": _PROBLEMS,
            }
        ),
        "description": "Online also `api_calls` and what was found: `record` and `reuses` (an import that has "
        "brought the record already), or for a group `counts` (`new`, `existing`, `skipped`).",
    },
    "ImportOrDryRun": {"anyOf": [ref("schemas", "Import"), ref("schemas", "DryRun")]},
    "GroupOrDryRun": {"anyOf": [ref("schemas", "Group"), ref("schemas", "DryRun")]},
}
_POST_PROBLEMS = ("400", "401", "408", "411", "413", "415", "422", "429", "503")
_TOKEN: list[Schema] = [{"token": []}]

PATHS: Schema = {
    "/api/v1/import_groups": {
        "post": {
            "operationId": "ask_for_group",
            "summary": "Ask for all pictures of a Case",
            "description": "Answers 200 when the group is durably recorded. A job lists what hangs on the Case and "
            "makes an import of each picture. The same request again brings what is new, and tries failed imports "
            "again.",
            "parameters": [DRY_RUN],
            "requestBody": {
                "content": {
                    "application/x-www-form-urlencoded": {"schema": ref("schemas", "GroupParameters")},
                    "multipart/form-data": {"schema": ref("schemas", "GroupParameters")},
                    "application/json": {"schema": ref("schemas", "GroupParameters")},
                }
            },
            "responses": responses(json("The group is recorded.", "GroupOrDryRun"), *_POST_PROBLEMS),
            "security": _TOKEN,
        }
    },
    "/api/v1/import_groups/{group_id}": get(
        "group",
        summary="See how far a group is",
        description="`expanding` while its album is listed, `importing` until its last import has ended, then "
        "`finished`: the counts tell how they ended.",
        success=json("The group.", "Group"),
        problems=("401", "404", "411", "429", "503"),
        parameters=("group_id",),
        security="token",
    ),
    "/api/v1/import_groups/{group_id}/imports": get(
        "group_imports",
        summary="Page through the imports of a group",
        description="In the order in which they were listed; follow `links.next`.",
        success=json("Some of its imports.", "ImportPage"),
        problems=("400", "401", "404", "411", "422", "429", "503"),
        parameters=("group_id", "cursor", "limit"),
        security="token",
    ),
    "/api/v1/import_groups/{group_id}/cancel": {
        "post": {
            "operationId": "cancel_group",
            "summary": "Cancel a group",
            "description": "Nothing more is listed, and open imports end as `canceled` within moments. What has "
            "ended stays as it is.",
            "parameters": [parameter("group_id")],
            "responses": responses(json("The group.", "Group"), "401", "404", "409", "411", "429", "503"),
            "security": _TOKEN,
        }
    },
}

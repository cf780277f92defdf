"""Describe what is served to the operator."""

from __future__ import annotations

from ingest.openapi_parts import BYTES, PAGE, UNCHANGED, Schema, get, object_, ref

_LOGGED_IN: Schema = {
    "303": {"description": "Logged in: the cookie of a session, and where the dashboard is."},
    "403": {
        "description": "That is not the password, or a link that is no longer good.",
        "content": {"text/html": {}},
    },
}
_LOG_IN: Schema = {
    **get(
        "log_in_page",
        summary="Where a person logs in as the operator",
        description="A form; a link with a `session` logs in at once.",
        success=PAGE,
        problems=("400", "404", "411"),
        parameters=("session",),
        more=_LOGGED_IN,
    ),
    "post": {
        "operationId": "log_in",
        "summary": "Log in as the operator",
        "description": "For a browser; machines send the password with each request.",
        "requestBody": {
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": object_({"password": {"type": "string"}}),
                }
            }
        },
        "responses": {
            **_LOGGED_IN,
            **{
                status: ref("responses", f"Problem{status}")
                for status in ("400", "404", "408", "411", "413", "415", "429")
            },
        },
        "security": [],
    },
}

PATHS: Schema = {
    "/metrics": get(
        "metrics",
        summary="Metrics in the text format of Prometheus",
        description="For the operator. Answers 200 while stores are away.",
        success={"description": "The metrics.", "content": {"text/plain": {}}},
        problems=("401", "404", "411", "429"),
        security="operator",
    ),
    "/dashboard": get(
        "dashboard",
        summary="A page that shows what happens",
        description="For the operator. Refreshes itself. A browser that has not logged in is sent to `/dashboard/login`.",
        success=PAGE,
        problems=("401", "404", "411", "429"),
        security="operator",
        more={"303": {"description": "Where to log in."}},
    ),
    "/dashboard/login": _LOG_IN,
    "/dashboard/images/{image_id}/{name}": get(
        "dashboard_thumbnail",
        summary="A thumbnail on the operator's page",
        description="For the operator, of whichever organization.",
        success=BYTES,
        problems=("401", "404", "411", "429", "503"),
        parameters=("image_id", "name"),
        security="operator",
        more=UNCHANGED,
    ),
}

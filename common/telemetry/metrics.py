"""Name every metric once: what workers tally in Redis and what a web process shows at `/metrics`.

What workers tally (`common/queue/tallies.py`) has a short name there; the rest is measured by the web process
that is asked. Labels hold states, stages, codes and organizations, which are few, and never the id of an
import.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as Prometheus knows it."""

    name: str
    sentence: str
    labels: tuple[str, ...] = ()


QUEUE_DEPTH = Metric(
    "imports_queue_depth",
    "Imports of a queue, and images to be rendered anew: waiting, in_flight, delayed or dead.",
    ("queue", "state"),
)
QUEUE_OLDEST = Metric(
    "imports_queue_oldest_age_seconds",
    "Time since the oldest open import in or before this stage was accepted; 0 without any.",
    ("queue",),
)
BY_STATE = Metric("imports_by_state", "Imports in a state, counted up to a limit.", ("state",))
GROUPS_BY_STATE = Metric(
    "imports_groups_by_state", "Import groups in a state, counted up to a limit.", ("state",)
)
WORKERS = Metric("imports_workers_alive", "Processes that were heard of lately.", ("process",))
REDIS_UP = Metric("imports_redis_up", "Whether Redis answers this web process.")
MONGODB_UP = Metric("imports_mongodb_up", "Whether MongoDB answers this web process.")

CALLS_USED = Metric(
    "imports_salesforce_calls_used",
    "API calls of an organization in the last 24 hours, by whoever made them, as Salesforce told last.",
    ("organization",),
)
CALLS_LIMIT = Metric(
    "imports_salesforce_calls_limit", "API calls that an organization has in 24 hours.", ("organization",)
)
CALLS_OURS = Metric(
    "imports_salesforce_calls_ours", "API calls in the last 24 hours that were ours.", ("organization",)
)
GATE_CLOSED = Metric(
    "imports_gate_closed",
    "1 while an organization's imports wait, and for what.",
    ("organization", "waiting_for"),
)

HTTP_REQUESTS = Metric("imports_http_requests", "Answers of this web process.", ("method", "route", "status"))
HTTP_SECONDS = Metric(
    "imports_http_request_duration_seconds", "Time from a request to its answer.", ("method", "route")
)

STAGE_BUCKET = "stage_bucket"  # the two halves of STAGE_SECONDS, as workers tally them
STAGE_SUM = "stage_sum"
STAGE_SECONDS = Metric(
    "imports_stage_duration_seconds", "Time that a stage took, by how it ended.", ("stage", "outcome")
)

DELIVERIES = Metric(
    "imports_deliveries", "Claims that a worker ended, by stage and how they ended.", ("stage", "outcome")
)

SWEPT = "swept"
TALLIES: dict[str, Metric] = {
    SWEPT: Metric("imports_swept", "What the sweepers did, by reason.", ("reason",)),
}
"""Counters by the short name under which they are tallied; labels that are not listed are summed up."""

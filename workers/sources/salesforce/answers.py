"""Read what Salesforce says in a refusal. Pure; parses every shape, trusts none, never raises.

REST answers `[{"message", "errorCode"}]`, sometimes the bare object; the token endpoint `{"error",
"error_description"}`; a SOAP login a fault in XML; gateways an HTML page. What is read here chooses a verdict and goes nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

_FAULT = re.compile(rb"<(?:\w+:)?exceptionCode>([A-Z_]{1,80})<")
_FAULT_TEXT = re.compile(rb"<(?:\w+:)?exceptionMessage>([^<]{0,500})<")
LONGEST_WAIT = 3600.0
"""Seconds of a Retry-After that are believed; who names more is asked again after an hour."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal in the words of a verdict: upper-case code, lower-case text, wait in seconds if one was named."""

    status: int
    code: str = ""
    says: str = ""
    retry_after: float | None = None
    fault: bool = False  # it came as a SOAP fault


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Refusal:
    """Read a refusal; `now` (UTC) is what a date in Retry-After is measured against."""
    told, fault = _first(body), _FAULT.search(body)
    if fault is not None:
        said = _FAULT_TEXT.search(body)
        told = {"errorCode": fault[1].decode(), "message": said[1].decode("utf-8", "replace") if said else ""}
    code = told.get("errorCode") or told.get("error")
    text = told.get("message") or told.get("error_description")
    return Refusal(
        status,
        code.upper() if isinstance(code, str) else "",
        text.lower() if isinstance(text, str) else "",
        retry_after(headers.get("Retry-After"), now=now),
        fault is not None,
    )


def retry_after(text: str | None, *, now: datetime) -> float | None:
    """Read seconds or an HTTP date as seconds from now, between 0 and an hour; None if it says neither."""
    if not text:
        return None
    try:
        seconds = float(text) if text.strip().isdigit() else _until(text, now)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_WAIT)


def _until(text: str, now: datetime) -> float:
    return (parsedate_to_datetime(text) - now).total_seconds()


def _first(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(told, list) and told:
        told = told[0]
    return told if isinstance(told, dict) else {}

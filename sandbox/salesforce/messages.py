"""Say what a call and an answer are, and write errors in the shapes the real service uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

JSON_TYPE = "application/json;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read whole; header names are lower-case."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    def form(self) -> dict[str, str]:
        """Read the body as a form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(slots=True)
class Answer:
    """One answer; `body` may be a file, which is then sent in pieces and never held whole."""

    status: int
    body: bytes | Path = b""
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)


def told(value: Any, *, status: int = 200) -> Answer:
    """Answer with a JSON value."""
    return Answer(status, json.dumps(value).encode())


def refused(status: int, code: str, message: str) -> Answer:
    """Answer with an error as the REST API writes it: a list of one."""
    return told([{"message": message, "errorCode": code}], status=status)


def refused_login(status: int, error: str, description: str) -> Answer:
    """Answer with an error as the token endpoint writes it."""
    return told({"error": error, "error_description": description}, status=status)


def not_found() -> Answer:
    """Answer for a record that is not there, deleted or not shared: the service tells no difference."""
    return refused(404, "NOT_FOUND", "The requested resource does not exist")

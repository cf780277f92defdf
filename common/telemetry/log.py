"""Set up structured logs: one line per unit of work, pretty on a terminal, JSON elsewhere.

Context (`import_id`, `request_id`, `organization_id`) is bound once by whoever begins the unit of work,
with `structlog.contextvars.bound_contextvars`. What a client or Salesforce sent (parameters, tokens,
URLs with queries, texts of remote errors) is never a value of a log line.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog


def configure(*, level: str, format: str, process: str) -> None:  # noqa: A002 - the setting is named LOG_FORMAT
    """Send our own lines and those of the libraries to standard error in one shape.

    `format` is `console`, `json` or `auto`; `process` is the Procfile's name and stands on every line.
    """
    pretty = format == "console" or (format == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if pretty
        else structlog.processors.JSONRenderer()
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(process),
    ]
    written: list[Any] = [structlog.processors.format_exc_info if not pretty else _unchanged, renderer]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *written],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("pymongo", "urllib3", "PIL", "simple_salesforce", "dramatiq", "uvicorn.access", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    # Our own lines go straight to the stream: by way of the libraries' logging each would cost twice as much.
    structlog.configure(
        processors=[*shared, *written],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=True,
    )


def _named(process: str) -> Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    def add_process(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    return add_process


def _unchanged(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return event

"""Go on without Redis where what is shared through it only helps: each process then does it for itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import redis
import structlog

log = structlog.get_logger(__name__)


@contextlib.contextmanager
def quietly(what: str, *others: type[Exception]) -> Iterator[None]:
    """End the block where Redis cannot serve, or at one of `others`; `what` is not done then, as the log says."""
    errors: tuple[type[Exception], ...] = (redis.RedisError, *others)
    try:
        yield
    except errors as error:
        log.debug(what, reason=type(error).__name__)

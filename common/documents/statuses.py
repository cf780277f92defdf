"""Name the states of an import, without loading what asks the store."""

from __future__ import annotations

OPEN = ("queued", "fetching", "fetched", "rendering")
ENDED = ("succeeded", "failed", "canceled")
STATUSES = (*OPEN, *ENDED)

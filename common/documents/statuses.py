"""Name the states of an import, for whoever speaks of them without asking the store."""

from __future__ import annotations

OPEN = ("queued", "fetching", "fetched", "rendering")
ENDED = ("succeeded", "failed", "canceled")
STATUSES = (*OPEN, *ENDED)

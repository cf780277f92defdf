"""Where records come from: a table of kinds of source, and the open sources of this process.

A further source is one module and one row: its `open` takes the `source` part of an organization's
document and returns a `Source` (see `record`). What it accepts as a record id goes into `common.sources`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from workers.credentials import Credentials
from workers.sources.record import ListedRecord, Listing, Received, Record, Source, Visit, listed
from workers.sources.salesforce.grants import unusable
from workers.sources.salesforce.opening import open_org
from workers.sources.surroundings import Surroundings

__all__ = [
    "SOURCES",
    "ListedRecord",
    "Listing",
    "Received",
    "Record",
    "Source",
    "Sources",
    "Visit",
    "listed",
]


class Open(Protocol):
    """How a source is opened from the `source` part of an organization's document. Makes no call."""

    def __call__(  # noqa: PLR0913 - all of it by keyword
        self,
        source: Mapping[str, Any],
        *,
        organization_id: str,
        credentials: Credentials,
        api_version: str,
        pool_size: int,
        ca_file: str | None = None,
        around: Surroundings | None = None,
    ) -> Source: ...


SOURCES: dict[str, Open] = {"salesforce": open_org}
"""Each import type and how its source is opened."""


class Sources:
    """The sources of this process, one per organization and version of its credentials.

    Sharing one is what makes many imports cost one login. `pool_size` is at least the number of threads;
    `keep` bounds how many organizations stay open: beyond it the one unused for longest is closed. Make it
    after the process has forked, since connections do not survive that. `around` says what an organization
    (its document) shares with other processes.
    """

    def __init__(  # noqa: PLR0913 - all of it by keyword
        self,
        *,
        credentials: Credentials,
        api_version: str,
        pool_size: int = 32,
        keep: int = 256,
        ca_file: str | None = None,
        around: Callable[[Mapping[str, Any]], Surroundings] = lambda _: Surroundings(),
    ) -> None:
        self._credentials, self._api_version = credentials, api_version
        self._pool_size, self._keep = pool_size, keep
        self._ca_file, self._around = ca_file, around
        self._open: OrderedDict[str, tuple[object, Source]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, organization: Mapping[str, Any]) -> Source:
        """Return the source of an organization (its document). Raises Throttled if its settings cannot be used."""
        key, version = str(organization["_id"]), organization.get("credential_version", 0)
        closing: list[Source] = []
        with self._lock:
            known = self._open.get(key)
            if known is None or known[0] != version:
                closing += [known[1]] if known is not None else []
                self._open[key] = known = (version, self._opened(organization))
            self._open.move_to_end(key)
            while len(self._open) > self._keep:
                closing.append(self._open.popitem(last=False)[1][1])
        for source in closing:
            source.close()
        return known[1]

    def close(self) -> None:
        """Close every source."""
        with self._lock:
            closing = [source for _, source in self._open.values()]
            self._open.clear()
        for source in closing:
            source.close()

    def _opened(self, organization: Mapping[str, Any]) -> Source:
        source = organization.get("source") or {}
        opened = SOURCES.get(source.get("type", ""))
        if opened is None:
            raise unusable(
                "The organization has no source to import from: give it one with `imports organization update`."
            )
        return opened(
            source,
            organization_id=str(organization["_id"]),
            credentials=self._credentials,
            api_version=self._api_version,
            pool_size=self._pool_size,
            ca_file=self._ca_file,
            around=self._around(organization),
        )

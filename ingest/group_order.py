"""Judge what a group is asked for with, before anything is written. Pure: parameters in, order or faults out.

Unlike a single import, which the contract has recorded whatever it holds, a group without a possible meaning is
refused: nobody waits for ten thousand pictures of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from common.sources import ALBUM_TYPES, DEFAULT_IMPORT_TYPE, SENTENCES, Albums, SourceIdError
from ingest.errors import ProblemError


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one parameter."""

    code: str
    detail: str
    pointer: str


@dataclass(slots=True)
class Order:
    """What a group is to bring. Of use only where `faults` is empty."""

    source_type: str = DEFAULT_IMPORT_TYPE
    album_id: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def problem(self) -> ProblemError:
        """Return the answer to an order that has faults: the code of the first, and all of them by pointer."""
        first = self.faults[0]
        told = [{"pointer": fault.pointer, "detail": fault.detail} for fault in self.faults]
        return ProblemError(first.code, first.detail, errors=told)


def judged(params: Mapping[str, Any]) -> Order:
    """Return the order that parameters make. What is absent, null or empty text is left to its default."""
    order = Order()
    sent = {name: value for name, value in params.items() if value is not None and value != ""}
    source_type = sent.get("import_type", DEFAULT_IMPORT_TYPE)
    albums = ALBUM_TYPES.get(source_type) if isinstance(source_type, str) else None
    if albums is None:
        detail = SENTENCES["import_type_unknown"]
        order.faults.append(Fault("import_type_unknown", detail, "#/import_type"))
        return order
    order.source_type = source_type
    _album(order, albums, sent.get("album_id"))
    order.options = {
        "created_since": _read(order, sent, "created_since", _moment),
        "max_bytes": _read(order, sent, "max_bytes", _bytes),
        "kinds": _read(order, sent, "kinds", lambda value: _kinds(value, albums)),
        "include_emails": _read(order, sent, "include_emails", _flag, default=True),
    }
    return order


def _album(order: Order, albums: Albums, value: Any) -> None:
    try:
        order.album_id = albums.read(value if isinstance(value, str) else "")
    except SourceIdError as error:
        order.faults.append(Fault(error.code, error.detail, "#/album_id"))


def _read(order: Order, sent: Mapping[str, Any], name: str, read: Any, default: Any = None) -> Any:
    if name not in sent:
        return default
    try:
        return read(sent[name])
    except ValueError as error:
        order.faults.append(Fault("parameter_invalid", f"{name} {error}.", f"#/{name}"))
        return default


def _moment(value: Any) -> datetime:
    """Read a date or a time; without a zone it is UTC."""
    try:
        read = datetime.fromisoformat(value.strip())
        return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (AttributeError, ValueError, OverflowError):
        raise ValueError("must be a time such as 2026-03-01T08:00:00Z") from None


def _bytes(value: Any) -> int:
    text = str(value)
    if (
        isinstance(value, bool | float)
        or not (text.isascii() and text.isdigit())
        or len(text) > 12
        or int(text) == 0
    ):
        raise ValueError("must be a number of bytes, one or more")
    return int(text)


def _kinds(value: Any, albums: Albums) -> list[str]:
    names = value.split(",") if isinstance(value, str) else value
    if (
        not isinstance(names, list)
        or not names
        or len(names) > 16
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError("must be a list of kinds of record")
    try:
        return sorted({albums.kinds[name.strip().lower()] for name in names})
    except KeyError:
        raise ValueError(f"must be of {', '.join(sorted(set(albums.kinds.values())))}") from None


def _flag(value: Any) -> bool:
    text = value.lower() if isinstance(value, str) else value
    if text not in ("true", "false") and not isinstance(value, bool):
        raise ValueError("must be true or false")
    return text in (True, "true")

"""Read the small part of SOQL that an importer asks: fields of one object, conditions joined by AND.

SOQL and SOSL Reference: https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.salesforce.ids import canonical

_SHAPE = re.compile(
    r"^\s*SELECT\s+(?P<fields>[\w\s,()]+?)\s+FROM\s+(?P<table>\w+)"
    r"(?:\s+WHERE\s+(?P<where>.+?))?(?:\s+ORDER\s+BY\s+(?P<order>\w+)(?P<down>\s+DESC|\s+ASC)?)?"
    r"(?:\s+LIMIT\s+(?P<limit>\d+))?\s*$",
    re.IGNORECASE | re.DOTALL,
)
_TEXT = r"'(?:[^'\\]|\\.)*'"
_TIME = r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)"  # as SOQL and SOSL Reference, "Date Formats"
_CONDITION = re.compile(
    rf"\s*(?P<field>\w+)\s*(?:(?P<sign>!=|<=|>=|=|<|>)\s*(?P<one>{_TEXT}|{_TIME}|\w+)|(?P<not>NOT\s+)?IN\s*\(\s*(?P<many>{_TEXT}(?:\s*,\s*{_TEXT})*)\s*\))"
    r"\s*(?P<and>AND\b)?",
    re.IGNORECASE,
)
_WORDS = {"true": True, "false": False, "null": None}


class MalformedQueryError(Exception):
    """The text is outside the part of SOQL that is read here."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a field with a value, or with several where the sign is `=` or `!=`."""

    field: str
    values: tuple[Any, ...]
    sign: str = "="

    def holds(self, value: Any) -> bool:
        """Tell whether a value fits; texts compare without letter case, ids with, as SOQL does."""
        if self.sign in ("=", "!="):
            fold = _as_id if self.field.lower().endswith("id") else _folded
            return (fold(value) in map(fold, self.values)) == (self.sign == "=")
        if value is None:
            return False
        have, wanted = _ordered(value), _ordered(self.values[0])
        return _ORDERS[self.sign](have, wanted)


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked, still in the client's spelling of names."""

    fields: tuple[str, ...]
    table: str
    where: tuple[Condition, ...]
    order: str | None
    descending: bool
    limit: int | None

    def holds(self, value_of: Callable[[str], Any]) -> bool:
        """Tell whether a row fits every condition."""
        return all(condition.holds(value_of(condition.field)) for condition in self.where)


def parse(text: str) -> Query:
    """Read a query. Raises MalformedQueryError with a sentence for whatever lies outside."""
    shape = _SHAPE.match(text)
    if shape is None:
        raise MalformedQueryError("only SELECT fields FROM Object WHERE … ORDER BY … LIMIT … is read here")
    return Query(
        fields=tuple(_field(name.strip()) for name in shape["fields"].split(",")),
        table=shape["table"],
        where=_conditions(shape["where"]) if shape["where"] else (),
        order=shape["order"],
        descending=(shape["down"] or "").strip().upper() == "DESC",
        limit=int(shape["limit"]) if shape["limit"] else None,
    )


def _field(name: str) -> str:
    return "COUNT()" if name.upper() == "COUNT()" else name


def _conditions(text: str) -> tuple[Condition, ...]:
    conditions, place = [], 0
    while True:
        found = _CONDITION.match(text, place)
        if found is None:
            raise MalformedQueryError(f"unexpected token near '{text[place : place + 20].strip()}'")
        texts = [found["one"]] if found["one"] else re.findall(_TEXT, found["many"])
        values = tuple(_value(item) for item in texts)
        sign = found["sign"] or ("!=" if found["not"] else "=")
        conditions.append(Condition(found["field"], values, sign))
        place = found.end()
        if not found["and"]:
            break
    if text[place:].strip():
        raise MalformedQueryError(f"unexpected token near '{text[place : place + 20].strip()}'")
    return tuple(conditions)


def _value(text: str) -> Any:
    if text.startswith("'"):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text.isdigit():
        return int(text)
    if re.fullmatch(_TIME, text, re.IGNORECASE):
        return datetime.fromisoformat(text)
    if text.lower() not in _WORDS:
        raise MalformedQueryError(f"unexpected token: {text}")
    return _WORDS[text.lower()]


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _as_id(value: Any) -> Any:
    return (canonical(value) or value) if isinstance(value, str) else value


def _ordered(value: Any) -> Any:
    """Return a value that compares: a time as a time, whatever its zone."""
    if isinstance(value, str) and re.fullmatch(_TIME, value, re.IGNORECASE):
        return datetime.fromisoformat(value)
    return _folded(value)


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

"""Which lines of a view, in which order, and from where on: told in SQL.

What a stranger said only gets into values; names and operators are our own.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from projections.views import View, columns


class Choice(msgspec.Struct, frozen=True):
    """Which lines: comparisons that must all hold (column, operator, value), order, how many.

    `after` is the place of the line that the first one must follow: its value of `sort`, number
    and key.
    """

    view: View
    where: tuple[tuple[str, str, Any], ...] = ()
    sort: str = ""
    descending: bool = False
    after: tuple[Any, ...] | None = None
    limit: int = 100


Found = tuple[tuple[Any, ...], bytes]
"""The place of a line, and the line as JSON."""
OPERATORS: Mapping[str, str] = {
    "eq": "=",
    "ne": "<>",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "prefix": "GLOB",
}


def quoted(name: str) -> str:
    return f'"{name}"'


def select(choice: Choice) -> tuple[str, list[Any]]:
    """Return a choice in SQL. Only names of columns and operators of our own get into it."""
    view = choice.view
    sort = _ordered(view, choice.sort or "_number")
    place = [sort, "_number", "_key"]
    conditions: list[str] = []
    values: list[Any] = []
    for name, operator, value in choice.where:
        conditions.append(f"{quoted(name)} {OPERATORS[operator]} ?")
        values.append(_literal(value) + "*" if operator == "prefix" else value)
    if choice.after is not None:
        sign = "<" if choice.descending else ">"
        conditions.append(f"({', '.join(place)}) {sign} (?, ?, ?)")
        values.extend(choice.after)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    way = " DESC" if choice.descending else ""
    order = ", ".join(name + way for name in place)
    line = "CASE WHEN _short = x'' THEN _line ELSE _short END"
    sql = (
        f"SELECT {', '.join(place)}, {line} FROM {quoted(view.name)} {where}"  # noqa: S608
        f" ORDER BY {order} LIMIT ?"
    )
    return sql, [*values, choice.limit]


def _ordered(view: View, name: str) -> str:
    """Return a column so that it has an order throughout: what is not there comes first."""
    if name == "_number":
        return "_number"
    return f"ifnull({quoted(name)}, {-1 if columns(view)[name] is int else repr('')})"


def _literal(text: str) -> str:
    """Return a text for GLOB in which nothing has a meaning of its own."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in text)

"""Which lines of a view, in which order, and from where on: told in SQL.

What a stranger said only gets into values; names and operators are our own. Both kinds of store
speak nearly the same; a `Dialect` is what differs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from projections.reads import STORIES_MAX
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


class Dialect(msgspec.Struct, frozen=True):
    """How a kind of store says it.

    `mark` is the place of the n-th value; `begins` compares a column with how its text begins,
    and `beginning` makes the value for that of a text.
    """

    mark: Callable[[int], str]
    begins: Callable[[str, str], str]
    beginning: Callable[[str], str]


Found = tuple[tuple[Any, ...], bytes]
"""The place of a line, and the line as JSON."""
OPERATORS: Mapping[str, str] = {
    "eq": "=",
    "ne": "<>",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "prefix": "",
}


def quoted(name: str) -> str:
    return f'"{name}"'


def glob(text: str) -> str:
    """Return a text for GLOB in which nothing has a meaning of its own, and anything may follow."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in text) + "*"


SQLITE = Dialect(lambda _: "?", lambda column, mark: f"{column} GLOB {mark}", glob)
POSTGRES = Dialect(
    lambda n: f"${n}", lambda column, mark: f"starts_with({column}, {mark})", lambda text: text
)


def select(choice: Choice, dialect: Dialect, table: str = "") -> tuple[str, list[Any]]:
    """Return a choice in SQL. Only names of columns and operators of our own get into it."""
    view = choice.view
    sort = _ordered(view, choice.sort or "_number")
    place = [sort, "_number", "_key"]
    conditions: list[str] = []
    values: list[Any] = []
    for name, operator, value in choice.where:
        begins = operator == "prefix"
        values.append(dialect.beginning(value) if begins else value)
        mark = dialect.mark(len(values))
        conditions.append(
            dialect.begins(quoted(name), mark)
            if begins
            else f"{quoted(name)} {OPERATORS[operator]} {mark}"
        )
    if choice.after is not None:
        sign = "<" if choice.descending else ">"
        marks = ", ".join(dialect.mark(len(values) + n) for n in range(1, len(place) + 1))
        conditions.append(f"({', '.join(place)}) {sign} ({marks})")
        values.extend(choice.after)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    way = " DESC" if choice.descending else ""
    order = ", ".join(name + way for name in place)
    line = "CASE WHEN length(_short) = 0 THEN _line ELSE _short END"
    sql = (
        f"SELECT {', '.join(place)}, {line} FROM {table or quoted(view.name)} {where}"  # noqa: S608
        f" ORDER BY {order} LIMIT {dialect.mark(len(values) + 1)}"
    )
    return sql, [*values, choice.limit]


def _ordered(view: View, name: str) -> str:
    """Return a column so that it has an order throughout: what is not there comes first."""
    if name == "_number":
        return "_number"
    return f"coalesce({quoted(name)}, {-1 if columns(view)[name] is int else repr('')})"


def stories(table: str) -> str:
    """Return the lines that a fold carries on, oldest first: going on, or the latest over."""
    return f"""SELECT _line FROM (
        SELECT _number, _line FROM (SELECT * FROM {table} WHERE finished_at > 0
            ORDER BY finished_at DESC, _number DESC LIMIT {STORIES_MAX}) AS latest
        UNION ALL SELECT _number, _line FROM {table} WHERE finished_at = 0) AS carried
    ORDER BY _number"""  # noqa: S608 - names of our own

"""What is printed: data to stdout, as a table or as JSON; progress, hints and errors to stderr.

Tables are plain: headers in capitals, no borders, two spaces between columns, times relative.
JSON is what the bus answered, unchanged.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from rich.cells import cell_len

from domain.messages import Code
from domain.problems import Problem

Json = None | bool | int | float | str | list[Any] | tuple[Any, ...] | dict[str, Any]
Item = Mapping[str, Any]
"""One thing, as JSON has it."""
Format = Literal["table", "wide", "json", "jsonl", "name"]
GAP = "  "
NOTHING = "-"
FACTS_SHOWN_MAX = 12
UNITS: Sequence[tuple[str, int]] = (("d", 86_400), ("h", 3_600), ("m", 60))
KEPT_UNTIL = 2
"""A unit is used from twice its size on, so that 90 s is not rounded to 1 m."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table: its header, and how its text is found. `wide`: only with `-o wide`."""

    header: str
    text: Callable[[Item], str]
    wide: bool = False


class Page(msgspec.Struct, frozen=True):
    """What a list answered: its items, and the position up to which they are true."""

    items: Sequence[Item]
    position: int = 0


class Look(msgspec.Struct, frozen=True):
    """How the user wants to see data."""

    format: Format = "table"
    headers: bool = True


def out(line: str = "") -> None:
    """Print a line of data."""
    sys.stdout.write(f"{line}\n")


def tell(line: str = "") -> None:
    """Print a line of data that someone waits for: it is seen at once, also through a pipe."""
    out(line)
    sys.stdout.flush()


def say(line: str = "") -> None:
    """Print a line of progress, a hint, or an error."""
    sys.stdout.flush()
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def on_terminal() -> bool:
    """Tell whether someone watches: both what is said and what is typed are a terminal."""
    return sys.stderr.isatty() and sys.stdin.isatty() and os.environ.get("TERM") != "dumb"


def ago(at_ms: int, now_ms: int | None = None) -> str:
    """Return how long ago an instant was: `4s`, `90s`, `5m`, `3h`, `2d`; `-` for never."""
    if not at_ms:
        return NOTHING
    now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return span(max(0, now - at_ms))


def span(duration_ms: int) -> str:
    """Return a duration in one unit, rounded down."""
    seconds = duration_ms // 1_000
    for unit, size in UNITS:
        if seconds >= KEPT_UNTIL * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def text(value: Json) -> str:
    """Return a value as a table shows it."""
    if value is None or value in ("", [], {}, ()):
        return NOTHING
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return ",".join(f"{key}={text(one)}" for key, one in value.items())
        case list() | tuple():
            return ",".join(text(one) for one in value)
        case _:
            return shown(str(value))


def shown(said: str) -> str:
    """Return what somebody wrote so that it moves no cursor and breaks no line."""
    if said.isprintable():
        return said
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in said
    )


def field(header: str, key: str, *, wide: bool = False) -> Column:
    """Return a column that shows one member of the item as it is."""
    return Column(header, lambda item: text(item.get(key)), wide)


def state() -> Column:
    """Return a column that shows how a story ended, or how it is."""
    return Column("STATE", lambda item: text(item.get("outcome") or item.get("state")))


def age(header: str, key: str, *, wide: bool = False) -> Column:
    """Return a column that shows an instant as the time since."""

    def since(item: Item) -> str:
        at = item.get(key)
        return ago(at) if isinstance(at, int) else NOTHING

    return Column(header, since, wide)


def show_list(
    page: Page, columns: Sequence[Column], look: Look, name: Callable[[Item], str]
) -> None:
    """Print a list in the format that is wanted."""
    match look.format:
        case "json":
            out(as_json({"items": page.items, "position": page.position}))
        case "jsonl":
            for item in page.items:
                out(msgspec.json.encode(item).decode())
        case "name":
            for item in page.items:
                out(name(item))
        case "table" | "wide":
            shown = [column for column in columns if look.format == "wide" or not column.wide]
            show_table(page.items, shown, headers=look.headers)


def show_item(item: Item, look: Look, name: Callable[[Item], str]) -> None:
    """Print one thing in the format that is wanted; a table is a line for each member."""
    match look.format:
        case "json":
            out(as_json(item))
        case "jsonl":
            out(msgspec.json.encode(item).decode())
        case "name":
            out(name(item))
        case "table" | "wide":
            width = max((len(key) for key in item), default=0)
            for key, value in item.items():
                for line in _lines(key, value, width):
                    out(line)


def _lines(key: str, value: Json, width: int) -> list[str]:
    """Return the lines that show one member; a list of things gets a line for each."""
    if not isinstance(value, list) or not any(isinstance(one, dict) for one in value):
        return [f"{key:{width}}{GAP}{text(value)}"]
    first, *others = [text(one) for one in value]
    return [f"{key:{width}}{GAP}{first}", *(f"{'':{width}}{GAP}{line}" for line in others)]


def show_table(items: Sequence[Item], columns: Sequence[Column], *, headers: bool) -> None:
    """Print items as columns of equal width."""
    for line in table_lines(items, columns, headers=headers):
        out(line)


def table_lines(items: Sequence[Item], columns: Sequence[Column], *, headers: bool) -> list[str]:
    """Return items as columns of equal width, a line for each."""
    rows = [[column.text(item) for column in columns] for item in items]
    if headers:
        rows.insert(0, [column.header for column in columns])
    if not rows:
        return []
    widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]
    return [
        GAP.join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def as_line(value: object) -> str:
    """Return JSON for programs that read line by line."""
    return msgspec.json.encode(value).decode()


def as_json(value: object) -> str:
    """Return JSON for people: indented by two."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def explain(problem: Problem) -> None:
    """Say why something was not done: cause, numbers, next step, and where to read more."""
    say(f"error: {problem.code}: {shown(problem.detail)}")
    numbers = facts(problem.facts)
    if numbers:
        say(f"  {numbers}")
    if problem.path:
        say(f"  at    {shown(problem.path)}")
    if problem.way_on:
        say(f"  try   {problem.way_on}")
    if problem.code is Code.RATE_LIMITED:
        say(f"  again in {problem.retry_after_ms / 1_000:g} s, with the same id")
    position = f"position {problem.position:,}  " if problem.position else ""
    command = f"command {problem.command_id}  " if problem.command_id else ""
    say(f"  {command}{position}{problem.type}")


def facts(known: Mapping[str, Json]) -> str:
    """Return the numbers of a problem on one line, counts of reasons spelled out."""
    parts: list[str] = []
    for key, value in known.items():
        if text(value) == NOTHING:
            continue
        if isinstance(value, dict):
            parts += [f"{count:,} {reason}" for reason, count in value.items()]
        elif isinstance(value, int) and not isinstance(value, bool):
            parts.append(f"{key.replace('_', ' ')} {value:,}")
        else:
            parts.append(f"{key.replace('_', ' ')} {text(value)}")
    more = len(parts) - FACTS_SHOWN_MAX
    shown = parts[:FACTS_SHOWN_MAX] + ([f"and {more} more"] if more > 0 else [])
    return " · ".join(shown)

"""`restow audit show` and `history`: what the audit keeps, read from its file."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from domain.messages import Refusal
from domain.problems import problem
from projections.audit import HistoryLine, Known, open_audit
from restow.cli.exits import ProblemError, UsageError
from restow.cli.flags import SHOWN, Showing
from restow.cli.output import Column, Item, Page, age, field, show_item, show_list, text
from restow.settings import AUDIT_FILE, data_directory

HISTORY = (
    field("VERSION", "version"),
    field("POSITION", "position"),
    age("AGE", "at"),
    field("EVENT", "tag"),
    Column("FACT", lambda item: text(item.get("fact"))),
    field("ACTOR", "actor", wide=True),
    field("COMMAND", "command", wide=True),
    field("ASK", "ask", wide=True),
    field("REASON", "reason", wide=True),
)
Data = Annotated[
    Path | None,
    Parameter(help="Data directory of the read side; else RESTOW_DATA, ./.restow."),
]


async def show(
    stream: str,
    /,
    *,
    version: Annotated[int | None, Parameter(help="Without it, the newest.")] = None,
    exact: Annotated[bool, Parameter(help="Fold all streams, not this one alone.")] = False,
    data: Data = None,
    how: Showing = SHOWN,
) -> None:
    """Show an aggregate as it was after VERSION events of its stream, as the audit has it."""
    path = _file(data)
    try:
        known = await asyncio.to_thread(_known, path, stream, version, exact=exact)
    except FileNotFoundError as error:
        raise UsageError(str(error)) from error
    if isinstance(known, Refusal):
        raise ProblemError(problem(known))
    show_item(msgspec.to_builtins(known), how.look, lambda item: str(item["id"]))


async def history(stream: str, /, *, data: Data = None, how: Showing = SHOWN) -> None:
    """List the events of one stream, with who asked for them and why."""
    try:
        lines = await asyncio.to_thread(_history, _file(data), stream)
    except FileNotFoundError as error:
        raise UsageError(str(error)) from error
    if isinstance(lines, Refusal):
        raise ProblemError(problem(lines))
    items: list[Item] = [msgspec.to_builtins(line) for line in lines]
    show_list(Page(items), HISTORY, how.look, lambda item: str(item["version"]))


def _file(data: Path | None) -> Path:
    """Return the file that the read side feeds."""
    return (data or data_directory()) / AUDIT_FILE


def _known(path: Path, stream: str, version: int | None, *, exact: bool) -> Known | Refusal:
    with closing(open_audit(path, create=False)) as audit:
        return audit.exact(stream, version) if exact else audit.show(stream, version)


def _history(path: Path, stream: str) -> Sequence[HistoryLine] | Refusal:
    with closing(open_audit(path, create=False)) as audit:
        known = audit.show(stream)
        return known if isinstance(known, Refusal) else audit.history(stream)

"""`restow projection`: the views that the read side keeps: how far, verified, built anew."""

import asyncio
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from domain.problems import Exit
from projections.rebuilding import Verdict
from projections.rebuilding import rebuild as rebuilt
from projections.rebuilding import verify as verified
from projections.shelf import Shelf, ShelfInUseError
from projections.sqlite import (
    SqliteReader,
    StoreDamagedError,
    StoreLockedError,
    StoreTooNewError,
)
from projections.views import ALL
from restow.cli.exits import EndedError, UsageError
from restow.cli.flags import HERE, SHOWN, At, Showing, noun
from restow.cli.output import NOTHING, Item, Page, field, out, say, show_item, show_list
from restow.cli.talk import reachable, region_of
from restow.settings import VIEWS_FOLDER, data_directory
from restow.wiring import journal_of

projection = noun("projection", "The views: how far, verified, built anew.", alias="proj")

COLUMNS = (
    field("VIEW", "id"),
    field("LINES", "lines"),
    field("POSITION", "position"),
    field("BEHIND", "behind"),
    field("GENERATION", "generation"),
    field("FILE", "file", wide=True),
)
Data = Annotated[
    Path | None,
    Parameter(help="Data directory of the read side; else RESTOW_DATA, ./.restow."),
]


def _shelf(data: Path | None) -> Shelf:
    folder = (data or data_directory()) / VIEWS_FOLDER
    if not folder.is_dir():
        message = f"there are no views in {folder}; start `restow reader`, or give --data"
        raise UsageError(message)
    return Shelf(folder)


@projection.command(name="list", help_epilogue="For example: restow projection list -o wide")
async def list_views(*, data: Data = None, at: At = HERE, how: Showing = SHOWN) -> None:
    """List the views: how many lines, up to which position, and how far behind the journal."""
    shelf, region = _shelf(data), region_of(at)
    with reachable(region):
        async with journal_of(region) as journal:
            end = await journal.end()
    try:
        page = await asyncio.to_thread(_lines, shelf, end)
    except (StoreDamagedError, StoreLockedError, StoreTooNewError) as error:
        say(f"error: {error}")
        raise EndedError(Exit.DIFFERENT) from error
    show_list(page, COLUMNS, how.look, lambda item: str(item["id"]))


def _lines(shelf: Shelf, end: int) -> Page:
    used = shelf.current()
    if used is None:
        return Page([])
    with closing(SqliteReader(used)) as reader:
        position = reader.begin().position
        items: list[Item] = [
            {
                "id": view.name,
                "lines": reader.count(view),
                "position": position,
                "behind": max(0, end - position),
                "generation": shelf.number(used),
                "file": str(used),
            }
            for view in ALL
        ]
    return Page(items, position)


@projection.command(help_epilogue="For example: restow projection verify")
async def verify(*, data: Data = None, at: At = HERE, how: Showing = SHOWN) -> None:
    """Build all views from the journal, beside, and compare them row by row.

    Nothing is changed. Ends with 9 where something is not the same.
    """
    shelf, region = _shelf(data), region_of(at)
    with reachable(region), _alone():
        async with journal_of(region) as journal:
            verdict = await verified(journal, shelf)
    _tell(verdict, how)
    if not verdict.good:
        raise EndedError(Exit.DIFFERENT)


@projection.command(help_epilogue="For example: restow projection rebuild")
async def rebuild(*, data: Data = None, at: At = HERE, how: Showing = SHOWN) -> None:
    """Build all views anew from the journal, compare, and let the read side use the new ones.

    Reading goes on meanwhile, and a read side that runs moves over by itself.
    """
    shelf, region = _shelf(data), region_of(at)
    with reachable(region), _alone():
        async with journal_of(region) as journal:
            verdict = await rebuilt(journal, shelf)
    _tell(verdict, how)
    if how.output not in {"json", "jsonl"}:
        out(f"generation {verdict.generation} is used from now on")


@contextmanager
def _alone() -> Generator[None]:
    """Say so where another process rebuilds. Raises `EndedError`."""
    try:
        yield
    except ShelfInUseError as error:
        say(f"error: {error}; wait until it is done")
        raise EndedError(Exit.CONFLICT) from error


def _tell(verdict: Verdict, how: Showing) -> None:
    if how.output in {"json", "jsonl"}:
        show_item(msgspec.to_builtins(verdict), how.look, lambda item: str(item["generation"]))
        return
    if verdict.damage:
        out(f"built up to position {verdict.position:,}, compared with nothing: {verdict.damage}")
        return
    out(f"{verdict.lines:,} lines at position {verdict.position:,}, compared row by row")
    for one in verdict.differences:
        say(f"error: {one.view} {one.key}: used {one.used or NOTHING}")
        say(f"       {' ' * len(one.view)} {' ' * len(one.key)}  rebuilt {one.rebuilt or NOTHING}")
    if verdict.good:
        out("all is as the journal says")

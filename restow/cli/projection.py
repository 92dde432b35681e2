"""`restow projection`: the views that the read side keeps: how far, verified, built anew."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from domain.problems import Exit
from projections.rebuilding import Verdict, closing
from projections.rebuilding import rebuild as rebuilt
from projections.rebuilding import verify as verified
from projections.stores import (
    Shelf,
    ShelfInUseError,
    StoreDamagedError,
    StoreLockedError,
    StoreTooNewError,
)
from projections.views import ALL
from restow.cli.exits import EndedError, UsageError
from restow.cli.flags import HERE, SHOWN, STORE, At, Showing, noun
from restow.cli.output import NOTHING, Item, Page, field, out, say, show_item, show_list
from restow.cli.talk import reachable, region_of, store_of
from restow.frames import JournalFrames
from restow.settings import VIEWS_FOLDER, Region, data_directory
from restow.wiring import journal_of, shelf_of

projection = noun("projection", "The views: how far, verified, built anew.", alias="proj")

COLUMNS = (
    field("VIEW", "id"),
    field("LINES", "lines"),
    field("POSITION", "position"),
    field("BEHIND", "behind"),
    field("GENERATION", "generation"),
    field("PLACE", "place", wide=True),
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where the views are kept."""

    data: Path | None = None
    """Data directory of the read side; else RESTOW_DATA, ./.restow."""
    store: Annotated[str | None, STORE] = None


NEAR = Kept()


def _shelf(kept: Kept, region: Region) -> Shelf:
    """Return where the views are kept. Raises `UsageError` where they are not there."""
    folder = (kept.data or data_directory()) / VIEWS_FOLDER
    store = store_of(kept.store)
    if store is None and not folder.is_dir():
        message = (
            f"there are no views in {folder}; start `restow reader`, or give --data or --store"
        )
        raise UsageError(message)
    return shelf_of(store, region.prefix, folder)


@asynccontextmanager
async def _views(kept: Kept, at: At) -> AsyncGenerator[tuple[Shelf, JournalFrames]]:
    """Return the views and the journal; say so where one of them cannot be used."""
    region = region_of(at)
    shelf = _shelf(kept, region)
    try:
        with reachable(region):
            async with journal_of(region) as journal:
                yield shelf, journal
    except ShelfInUseError as error:
        say(f"error: {error}; wait until it is done")
        raise EndedError(Exit.CONFLICT) from error
    except StoreLockedError as error:
        say(f"error: {error}")
        raise EndedError(Exit.UNREACHABLE) from error
    except (StoreDamagedError, StoreTooNewError) as error:
        say(f"error: {error}")
        raise EndedError(Exit.DIFFERENT) from error
    finally:
        await shelf.close()


@projection.command(name="list", help_epilogue="For example: restow projection list -o wide")
async def list_views(*, kept: Kept = NEAR, at: At = HERE, how: Showing = SHOWN) -> None:
    """List the views: how many lines, up to which position, and how far behind the journal."""
    async with _views(kept, at) as (shelf, journal):
        page = await _lines(shelf, await journal.end())
    show_list(page, COLUMNS, how.look, lambda item: str(item["id"]))


async def _lines(shelf: Shelf, end: int) -> Page:
    used = await shelf.current()
    if used is None:
        return Page([])
    async with closing(await shelf.reader(used)) as reader:
        position = (await reader.begin()).position
        items: list[Item] = [
            {
                "id": view.name,
                "lines": await reader.count(view),
                "position": position,
                "behind": max(0, end - position),
                "generation": used,
                "place": shelf.name(used),
            }
            for view in ALL
        ]
    return Page(items, position)


@projection.command(help_epilogue="For example: restow projection verify")
async def verify(*, kept: Kept = NEAR, at: At = HERE, how: Showing = SHOWN) -> None:
    """Build all views from the journal, beside, and compare them row by row.

    Nothing is changed. Ends with 9 where something is not the same.
    """
    async with _views(kept, at) as (shelf, journal):
        verdict = await verified(journal, shelf)
    _tell(verdict, how)
    if not verdict.good:
        raise EndedError(Exit.DIFFERENT)


@projection.command(help_epilogue="For example: restow projection rebuild")
async def rebuild(*, kept: Kept = NEAR, at: At = HERE, how: Showing = SHOWN) -> None:
    """Build all views anew from the journal, compare, and let the read side use the new ones.

    Reading goes on meanwhile, and a read side that runs moves over by itself.
    """
    async with _views(kept, at) as (shelf, journal):
        verdict = await rebuilt(journal, shelf)
    _tell(verdict, how)
    if how.output not in {"json", "jsonl"}:
        out(f"generation {verdict.generation} is used from now on")


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

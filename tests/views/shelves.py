"""Views of a journal in a folder, and all that is in them."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from domain.decider import Frame
from domain.facts import Fact
from projections.batches import Projector
from projections.keeping import Keeping
from projections.shelf import FileShelf
from projections.sqlite import SqliteReader, SqliteStore
from projections.stores import Shelf
from projections.views import ALL
from tests.projections.journal import MemoryJournal

WITHIN_S = 20.0

Content = dict[str, list[tuple[Any, ...]]]


def content(path: Path) -> Content:
    """Return every row of every view, and of the state behind them."""
    with closing(SqliteReader(path)) as reader:
        reader.begin()
        rows = {view.name: list(reader.rows(view)) for view in ALL}
        return {**rows, "state": list(reader.state())}


def projected(frames: Sequence[Frame[Fact]], path: Path, sizes: Sequence[int] = ()) -> Content:
    """Write frames in batches of these sizes, opening the file anew before each; return all."""
    done, turn = 0, 0
    while done < len(frames):
        size = sizes[turn % len(sizes)] if sizes else len(frames)
        with closing(SqliteStore(path)) as store:
            store.write(Projector(store.kept()).take(frames[done : done + size]))
        done, turn = done + size, turn + 1
    return content(path)


@asynccontextmanager
async def kept(journal: MemoryJournal, where: Path | Shelf) -> AsyncIterator[Keeping[int]]:
    """Keep the views of a journal in a folder, or on a shelf, during the block."""
    shelf: Shelf = FileShelf(where) if isinstance(where, Path) else where
    async with shelf.writing():
        keeping = Keeping(journal, shelf)
        task = asyncio.create_task(keeping.run())
        try:
            yield keeping
        finally:
            if task.done():  # this is what went wrong, whatever the block met because of it
                task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await shelf.close()


async def reached(keeping: Keeping[int], position: int) -> None:
    """Wait until the views are as far as `position`."""
    late = await keeping.progress.wait(position, int(WITHIN_S * 1_000))
    assert late is None, late


async def until(so: Any) -> None:
    """Wait until something is so; it may be a question that takes time."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            found = so()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.02)

"""Views of a journal in a folder, and all that is in them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from domain.decider import Frame
from domain.facts import Fact
from projections.batches import Projector
from projections.keeping import Keeping
from projections.shelf import Shelf
from projections.sqlite import SqliteReader, SqliteStore
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
async def kept(journal: MemoryJournal, folder: Path) -> AsyncIterator[Keeping[int]]:
    """Keep the views of a journal in a folder during the block."""
    shelf = Shelf(folder)
    with shelf.writing():
        keeping = Keeping(journal, shelf)
        task = asyncio.create_task(keeping.run())
        try:
            yield keeping
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def reached(keeping: Keeping[int], position: int) -> None:
    """Wait until the views are as far as `position`."""
    late = await keeping.progress.wait(position, int(WITHIN_S * 1_000))
    assert late is None, late


async def until(so: Any) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(WITHIN_S):
        while not so():
            await asyncio.sleep(0.02)

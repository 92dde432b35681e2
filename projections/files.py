"""A generation in an SQLite file, as `projections.stores` wants it read and written.

Small things are read at once, in the loop: they take microseconds. What may take long is done in
a thread.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from projections.batches import Batch, Checkpoint, Kept
from projections.choice import Choice, Found
from projections.sqlite import SqliteReader, SqliteStore
from projections.stores import StoreDamagedError, StoreLockedError
from projections.views import View

SMALL = 200
"""So many rows are written at once: a thread would have to wait for its turn after each of them."""
CARRY_PAGES = 1_000
"""After so many pages more, what was written is carried over into the file itself, beside."""
WAIT_PAGES = 8_000
"""So large is the write-ahead file at most, unless somebody reads a long time."""

T = TypeVar("T")


async def finished(call: Callable[[], T]) -> T:
    """Do what waits for a disk in a thread; whoever is cancelled waits until it is done."""
    doing = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait({doing})
        raise


class FileStore:
    """A file's one writer: a `projections.stores.Store`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._carrying: asyncio.Task[None] | None = None
        self._carried_at = 0

    @classmethod
    async def open(cls, path: Path) -> "FileStore":
        """Open a file, or make it. Raises the errors of a store."""
        store = await finished(partial(SqliteStore, path))
        with ExitStack() as undo:
            undo.callback(store.close)
            store.carry_beside()
            undo.pop_all()
        return cls(store)

    async def check(self) -> None:
        await finished(self._store.check)

    async def is_of_today(self) -> bool:
        return self._store.is_of_today()

    async def kept(self) -> Kept:
        return await finished(self._store.kept)

    async def write(self, batch: Batch) -> None:
        await self._carry_over()
        if batch.size > SMALL or not self._store.write_now(batch):
            await finished(partial(self._store.write, batch))

    async def _carry_over(self) -> None:
        """Carry over what was written, beside; wait for that only where it is very much."""
        pages = self._store.pages
        self._carried_at = min(self._carried_at, pages)  # the file is begun anew once it is empty
        much = pages >= WAIT_PAGES
        if pages - self._carried_at < CARRY_PAGES or (self._is_carrying() and not much):
            return
        await self._carried()
        self._carried_at = pages
        self._carrying = asyncio.create_task(finished(self._store.carry_over))
        if much:
            await self._carried()

    def _is_carrying(self) -> bool:
        return self._carrying is not None and not self._carrying.done()

    async def _carried(self) -> None:
        """Wait until it is carried over. Raises what came in the way, the errors of a store."""
        carrying, self._carrying = self._carrying, None
        if carrying is not None:
            await carrying

    async def close(self) -> None:
        with suppress(StoreDamagedError, StoreLockedError):
            await self._carried()
        await finished(self._store.close)


class FileReader:
    """A file's reader: a `projections.stores.Reader`."""

    sound = True

    def __init__(self, path: Path) -> None:
        """Open a file. Raises the errors of a store."""
        self._reader = SqliteReader(path)

    def look_through(self, path: Path, bounds: Mapping[str, str]) -> None:
        """Let these views go on in another file; see `projections.stores.Shelf.past`."""
        self._reader.look_through(path, bounds)

    async def check(self) -> None:
        await finished(self._reader.check)

    async def is_of_today(self) -> bool:
        return self._reader.is_of_today()

    async def begin(self) -> Checkpoint:
        return self._reader.begin()

    async def end(self) -> None:
        self._reader.end()

    async def get(self, view: View, key: str) -> bytes | None:
        return self._reader.get(view, key)

    async def select(self, choice: Choice, within_s: float | None = None) -> list[Found]:
        found = self._reader.select_now(choice)
        if found is not None:
            return found
        if within_s is None:
            return await finished(partial(self._reader.select, choice))
        clock = asyncio.get_running_loop().time
        late = clock() + within_s
        self._reader.stop_after(lambda: clock() > late)
        try:
            return await finished(partial(self._reader.select, choice))
        finally:
            self._reader.stop_after(None)

    async def count(self, view: View) -> int:
        return await finished(partial(self._reader.count, view))

    async def rows(self, view: View) -> AsyncIterator[tuple[Any, ...]]:
        for row in self._reader.rows(view):
            yield row

    async def state(self) -> AsyncIterator[tuple[Any, ...]]:
        for row in self._reader.state():
            yield row

    async def close(self) -> None:
        self._reader.close()


class FilePast:
    """A moment in a file of its own: a `projections.stores.Past`."""

    def __init__(self, today: Path, bounds: Mapping[str, str]) -> None:
        self._folder = TemporaryDirectory(prefix="restow-past-")
        self._path = Path(self._folder.name, "past.db")
        self._today = today
        self._bounds = bounds

    async def write(self, batch: Batch) -> None:
        store = await FileStore.open(self._path)
        try:
            await store.write(batch)
        finally:
            await store.close()

    async def open(self) -> FileReader:
        reader = FileReader(self._path)
        reader.look_through(self._today, self._bounds)
        return reader

    async def remove(self) -> None:
        await finished(self._folder.cleanup)

"""Keeps the views in a store: follows the journal in batches, each with its checkpoint.

It goes on from the checkpoint, if the journal has the very frame that this names. A file that is
gone, damaged, of another journal or of another version is built anew beside; whoever reads goes
on with what there was until the new one has caught up.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, aclosing, contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from domain.decider import Frame
from domain.facts import Fact
from projections.batches import Batch, Checkpoint, Projector, frame_hash, len_of
from projections.feed import Frames, H
from projections.queries import Progress
from projections.shelf import Shelf
from projections.sqlite import SqliteReader, SqliteStore, StoreDamagedError, StoreLockedError

log = structlog.stdlib.get_logger(__name__)

BEHIND_MAX = 1_000
"""Frames that were read and not yet written; then the feed waits."""
BATCH_EVENTS = 1_000
"""Events of one transaction, about."""
WATCH_S = 0.5
"""How often it is looked whether another generation is to be used."""
LOCKED_S = 0.5
"""How long to wait before writing again what another process kept from being written."""
IDLE_MIN = 4
"""Connections for reading that are open from the beginning."""
IDLE_MAX = 8
"""Connections for reading that are kept open."""

T = TypeVar("T")


class StrangeStoreError(RuntimeError):
    """The store's checkpoint is not in this journal: another region's, or beyond its end."""


class Live:
    """One generation as it is read: connections that nobody uses now."""

    def __init__(self, path: Path, opened: Callable[[Path], SqliteReader] = SqliteReader) -> None:
        """Open some: they can be read from though the file be removed."""
        self.path = path
        self._opened = opened
        self._idle = [opened(path) for _ in range(IDLE_MIN)]
        self._over = False

    def take(self) -> SqliteReader:
        """Return a connection; give it back with `back`."""
        return self._idle.pop() if self._idle else self._opened(self.path)

    def back(self, reader: SqliteReader) -> None:
        reader.end()
        if self._over or len(self._idle) >= IDLE_MAX:
            reader.close()
        else:
            self._idle.append(reader)

    def close(self) -> None:
        """Close what nobody uses; the others are closed when they come back."""
        self._over = True
        while self._idle:
            self._idle.pop().close()


class Keeping(Generic[H]):
    """The views of one region, kept; `progress` tells how far they are."""

    def __init__(self, frames: Frames[H], shelf: Shelf) -> None:
        self.progress = Progress()
        self.told: list[Callable[[Batch], None]] = []
        """Who is called with every batch once it can be read."""
        self._frames = frames
        self._shelf = shelf
        self._live: Live | None = None
        self._damaged: Path | None = None

    @property
    def live(self) -> Live | None:
        """The generation to read from; None before the first is open."""
        return self._live

    async def end(self) -> int:
        """Return the position of the last event of the journal."""
        return await self._frames.end()

    async def behind(self) -> int:
        """Return how many events of the journal the views do not have yet."""
        return max(0, await self._frames.end() - self.progress.position)

    @contextmanager
    def reading(self) -> Generator[tuple[SqliteReader, Checkpoint]]:
        """Read during the block, all of it at one checkpoint. Raises the errors of the store."""
        live = self._live
        if live is None:
            message = "no view is open yet"
            raise StoreLockedError(message)
        try:
            reader = live.take()
            try:
                yield reader, reader.begin()
            finally:
                live.back(reader)
        except StoreDamagedError:
            self.distrust(live.path)
            raise

    def distrust(self, path: Path) -> None:
        """Build the views anew where this generation is the one that is used."""
        self._damaged = path

    async def run(self) -> None:
        """Keep the views, for ever, while the caller holds `Shelf.writing`.

        What goes wrong comes out in an exception group: `StoreTooNewError`, `FeedError`.
        """
        try:
            self.progress.goal = await self._frames.end()
            while True:
                await self._keep_one(self._chosen())
        finally:
            self.progress.stop()
            if self._live is not None:
                self._live.close()

    def _chosen(self) -> Path:
        """Return the generation to go on with; where there is no sound one, a new one."""
        path = self._shelf.current()
        if path is not None and path != self._damaged:
            return path
        path = self._shelf.fresh()
        log.info("views.anew", file=str(path))
        return path

    async def _keep_one(self, path: Path) -> None:
        """Keep one generation until another is to be used, or this one cannot be gone on with."""
        store: SqliteStore | None = None
        try:
            store = await finished(lambda: opened(path))
            self._shelf.use(path)
            await self._follow(store)
        except* (StoreDamagedError, StrangeStoreError) as errors:
            log.warning("views.given_up", file=str(path), why=str(errors.exceptions[0]))
            self._damaged = path
        finally:
            if store is not None:
                await finished(store.close)

    async def _follow(self, store: SqliteStore) -> None:
        kept = await finished(store.kept)
        await check(self._frames, kept.checkpoint)
        projector = Projector(kept)
        self._show(store.path, kept.checkpoint)
        waiting = asyncio.Queue[Frame[Fact]](BEHIND_MAX)
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(self._pump(kept.checkpoint, waiting))
            while self._is_used(store.path):
                frames = await taken(waiting)
                if frames:
                    batch = projector.take(frames)
                    await self._write(store, batch)
                    self._show(store.path, batch.checkpoint, batch)
            pump.cancel()

    def _is_used(self, path: Path) -> bool:
        return self._shelf.current() == path and self._damaged != path

    async def _pump(self, checkpoint: Checkpoint, waiting: asyncio.Queue[Frame[Fact]]) -> None:
        async with aclosing(after(self._frames, checkpoint)) as frames:
            async for frame in frames:
                await waiting.put(frame)

    async def _write(self, store: SqliteStore, batch: Batch) -> None:
        """Write a batch; while another process has the file, again and again."""
        while True:
            try:
                await finished(lambda: store.write(batch))
            except StoreLockedError as error:
                await log.awarning("views.locked", why=str(error))
                await asyncio.sleep(LOCKED_S)
            else:
                return

    def _show(self, path: Path, to: Checkpoint, batch: Batch | None = None) -> None:
        """Let it be read, once it is as far as what was read so far."""
        if self._live is None or (
            self._live.path != path and to.position >= self.progress.position
        ):
            old, self._live = self._live, Live(path)
            if old is not None:
                old.close()
            self._shelf.tidy(path)
        if self._live.path == path:
            self.progress.reached(to.position)
            if batch is not None:
                for tell in self.told:
                    tell(batch)


def opened(path: Path) -> SqliteStore:
    """Open a generation and read all of it once. Raises the errors of the store."""
    with ExitStack() as undo:
        store = SqliteStore(path)
        undo.callback(store.close)
        store.check()
        if store.is_of_today():
            undo.pop_all()
            return store
    message = f"{path} has the shape of another version"
    raise StrangeStoreError(message)


async def check(frames: Frames[H], checkpoint: Checkpoint) -> None:
    """Raise `StrangeStoreError` where the journal does not have the frame of a checkpoint."""
    position = checkpoint.position
    if not position:
        return
    found = b""
    if await frames.end() >= position:
        async with aclosing(frames.follow(await frames.before(position - 1))) as steps:
            async for _, frame in steps:
                if len_of(frame):
                    found = frame_hash(frame)
                    break
    if found != checkpoint.hash:
        message = f"position {position:,} of the checkpoint is not so in the journal"
        raise StrangeStoreError(message)


async def after(frames: Frames[H], checkpoint: Checkpoint) -> AsyncGenerator[Frame[Fact]]:
    """Yield the frames that follow a checkpoint that the journal has, for ever."""
    position, quiet = checkpoint.position, checkpoint.quiet
    head = await frames.before(position - 1) if position else None
    async with aclosing(frames.follow(head)) as steps:
        async for _, frame in steps:
            if len_of(frame) and frame.position <= position:
                continue
            if len_of(frame) or not quiet:
                quiet = 0
                yield frame
            elif frame.position > position:
                quiet -= 1


async def taken(waiting: asyncio.Queue[Frame[Fact]]) -> list[Frame[Fact]]:
    """Return the frames that wait, up to a batch of them; after `WATCH_S` none."""
    try:
        async with asyncio.timeout(WATCH_S):
            frames = [await waiting.get()]
    except TimeoutError:
        return []
    events = len_of(frames[0])
    while events < BATCH_EVENTS and not waiting.empty():
        frames.append(waiting.get_nowait())
        events += len_of(frames[-1])
    return frames


async def finished(call: Callable[[], T]) -> T:
    """Do what waits for a disk in a thread; whoever is cancelled waits until it is done."""
    doing = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait({doing})
        raise

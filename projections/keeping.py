"""Keeps the views in a store: follows the journal in batches, each with its checkpoint.

It goes on from the checkpoint, if the journal has the very frame that this names. What is
gone, damaged, of another journal or of another version is built anew beside; whoever reads goes
on with what there was until the new one has caught up.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Generic, Self, TypeVar

import structlog

from domain.decider import Frame
from domain.facts import Fact
from projections.batches import Batch, Checkpoint, Projector, frame_hash, len_of
from projections.feed import Frames, H
from projections.files import finished
from projections.queries import Progress
from projections.stores import (
    Generation,
    MovedOnError,
    Reader,
    Shelf,
    Store,
    StoreDamagedError,
    StoreLockedError,
)

log = structlog.stdlib.get_logger(__name__)

BEHIND_MAX = 1_000
"""Frames that were read and not yet written; then the feed waits."""
BATCH_EVENTS = 1_000
"""Events of one transaction, about."""
WATCH_S = 0.5
"""How often it is looked whether another generation is to be used."""
LOCKED_S = 0.5
"""How long to wait before trying again what could not be done now."""
IDLE_MIN = 4
"""Connections for reading that are open from the beginning."""
IDLE_MAX = 8
"""Connections for reading that are kept open."""

T = TypeVar("T")
Opened = Callable[[], Awaitable[Reader]]
"""Opens one more connection for reading."""


class StrangeStoreError(RuntimeError):
    """The store's checkpoint is not in this journal: another region's, or beyond its end."""


class Live:
    """One generation as it is read: connections that nobody uses now."""

    def __init__(self, opened: Opened, generation: Generation = 0) -> None:
        """`opened` opens one more connection; 0 is no generation, but views of the past."""
        self.generation = generation
        self._opened = opened
        self._idle: list[Reader] = []
        self._over = False

    async def open(self) -> Self:
        """Open some connections: they can be read from though the generation be removed."""
        async with AsyncExitStack() as if_it_fails:
            if_it_fails.push_async_callback(self._shut)
            while len(self._idle) < IDLE_MIN:
                self._idle.append(await self._opened())
            if_it_fails.pop_all()
        return self

    async def begin(self) -> tuple[Reader, Checkpoint]:
        """Begin a reading; give its connection back with `back`. Raises the errors of a store."""
        reader = self._idle.pop() if self._idle else await self._opened()
        begun = False
        try:
            checkpoint = await reader.begin()
            begun = True
        finally:
            if not begun:
                await self.back(reader)
        return reader, checkpoint

    async def back(self, reader: Reader) -> None:
        """Keep a connection for the next reading, or close it, though this be cancelled."""
        async with AsyncExitStack() as unless_kept:
            unless_kept.push_async_callback(reader.close)
            await reader.end()
            if not self._over and len(self._idle) < IDLE_MAX and reader.sound:
                unless_kept.pop_all()
                self._idle.append(reader)

    async def close(self) -> None:
        """Close what nobody uses; the others are closed when they come back."""
        self._over = True
        await self._shut()

    async def _shut(self) -> None:
        """Close what is idle, all of it, though this be cancelled at one of them."""
        async with AsyncExitStack() as each:
            while self._idle:
                each.push_async_callback(self._idle.pop().close)


class Keeping(Generic[H]):
    """The views of one region, kept; `progress` tells how far they are."""

    def __init__(self, frames: Frames[H], shelf: Shelf) -> None:
        self.progress = Progress()
        self.told: list[Callable[[Batch], None]] = []
        """Who is called with every batch once it can be read."""
        self._frames = frames
        self._shelf = shelf
        self._live: Live | None = None
        self._damaged: Generation | None = None
        self._looked = 0.0
        self._tidy = True

    @property
    def shelf(self) -> Shelf:
        """Where the generations are kept."""
        return self._shelf

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

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[tuple[Reader, Checkpoint]]:
        """Read during the block, all of it at one checkpoint. Raises the errors of a store."""
        live = self._live
        if live is None:
            message = "no view is open yet"
            raise StoreLockedError(message)
        try:
            reader, checkpoint = await live.begin()
            try:
                yield reader, checkpoint
            finally:
                await live.back(reader)
        except StoreDamagedError:
            self.distrust(live.generation)
            raise

    def distrust(self, generation: Generation) -> None:
        """Build the views anew where this generation is the one that is used."""
        if generation:
            self._damaged = generation

    async def run(self) -> None:
        """Keep the views, for ever, while the caller holds `Shelf.writing`.

        What goes wrong comes out in an exception group: `StoreTooNewError`, `FeedError`.
        """
        try:
            self.progress.goal = await self._frames.end()
            while True:
                await self._keep_one(await patient(self._chosen))
        finally:
            self.progress.stop()
            if self._live is not None:
                await self._live.close()

    async def _chosen(self) -> Generation:
        """Return the generation to go on with; where there is no sound one, a new one."""
        found = await self._shelf.current()
        if found is not None and found != self._damaged:
            return found
        found = await self._shelf.fresh()
        log.info("views.anew", at=self._shelf.name(found))
        return found

    async def _keep_one(self, generation: Generation) -> None:
        """Keep one generation until another is to be used, or this one cannot be gone on with."""
        name = self._shelf.name(generation)
        store: Store | None = None
        try:
            store = await patient(lambda: opened(self._shelf, generation))
            await patient(lambda: self._shelf.use(generation))
            await self._follow(store, generation)
        except* (StoreDamagedError, StrangeStoreError) as errors:
            log.warning("views.given_up", at=name, why=str(errors.exceptions[0]))
            self._damaged = generation
        except* MovedOnError as errors:
            log.warning("views.taken_up_again", at=name, why=str(errors.exceptions[0]))
        finally:
            if store is not None:
                await store.close()

    async def _follow(self, store: Store, generation: Generation) -> None:
        kept = await patient(store.kept)
        await check(self._frames, kept.checkpoint)
        projector = await finished(lambda: Projector(kept))
        await self._show(generation, kept.checkpoint)
        waiting = asyncio.Queue[Frame[Fact]](BEHIND_MAX)
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(self._pump(kept.checkpoint, waiting))
            while await self._is_used(generation):
                frames = await taken(waiting)
                if frames:
                    batch = projector.take(frames)
                    await patient(partial(store.write, batch))
                    await self._show(generation, batch.checkpoint, batch)
            pump.cancel()

    async def _is_used(self, generation: Generation) -> bool:
        """Tell whether to go on with a generation; every `WATCH_S` the shelf is asked."""
        now = asyncio.get_running_loop().time()
        if self._damaged == generation:
            return False
        if now < self._looked + WATCH_S:
            return True
        self._looked = now
        await self._tidied()
        return await patient(self._shelf.current) == generation

    async def _tidied(self) -> None:
        """Remove what was read before; where somebody still reads it, at the next look."""
        live = self._live
        if live is not None and not self._tidy:
            self._tidy = await patient(lambda: self._shelf.tidy(live.generation))

    async def _pump(self, checkpoint: Checkpoint, waiting: asyncio.Queue[Frame[Fact]]) -> None:
        async with aclosing(after(self._frames, checkpoint)) as frames:
            async for frame in frames:
                await waiting.put(frame)

    async def _show(
        self, generation: Generation, to: Checkpoint, batch: Batch | None = None
    ) -> None:
        """Let it be read, once it is as far as what was read so far."""
        if self._live is None or (
            self._live.generation != generation and to.position >= self.progress.position
        ):
            fresh = Live(partial(self._shelf.reader, generation), generation)
            await patient(fresh.open)
            old, self._live = self._live, fresh
            if old is not None:
                await old.close()
            self._tidy = False
        if self._live.generation == generation:
            self.progress.reached(to.position)
            if batch is not None:
                for tell in self.told:
                    tell(batch)


async def known(shelf: Shelf) -> None:
    """Raise `StoreTooNewError` where a newer Restow made the views that are used."""
    used = await shelf.current()
    if used is not None:
        with suppress(StoreDamagedError, StoreLockedError):
            await (await shelf.reader(used)).close()


async def patient(act: Callable[[], Awaitable[T]]) -> T:
    """Do something with a store; while that cannot be done now, again and again."""
    while True:
        try:
            return await act()
        except StoreLockedError as error:
            await log.awarning("views.locked", why=str(error))
            await asyncio.sleep(LOCKED_S)


async def opened(shelf: Shelf, generation: Generation) -> Store:
    """Open a generation and read all of it once. Raises the errors of a store."""
    store = await shelf.store(generation)
    async with AsyncExitStack() as undo:
        undo.push_async_callback(store.close)
        await store.check()
        if await store.is_of_today():
            undo.pop_all()
            return store
    message = f"{shelf.name(generation)} has the shape of another version"
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

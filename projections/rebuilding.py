"""Views built again from the journal, beside those that are used, and compared row by row."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from domain.decider import Frame
from domain.facts import Fact
from projections.batches import Checkpoint, Projector, len_of
from projections.feed import Frames, H, last_position
from projections.files import FileStore, finished
from projections.notes import Notes, Watched
from projections.stores import (
    Generation,
    Reader,
    Shelf,
    Store,
    StoreDamagedError,
    StoreTooNewError,
)
from projections.views import ALL

C = TypeVar("C", Store, Reader, FileStore)

BATCH_EVENTS = 5_000
"""Events of one transaction of what is built from the beginning, about."""
DIFFERENCES_MAX = 20
"""So many differences are told."""
SHOWN_MAX = 2_000
"""Characters of a row that are told."""
STILL_S = 10.0
"""How long a frame is waited for that should be there."""


class Difference(msgspec.Struct, frozen=True):
    """A row that is not the same: as it is in the used views, and as it was built again."""

    view: str
    key: str
    used: str
    rebuilt: str


class Verdict(msgspec.Struct, frozen=True):
    """What came of a comparison at one position. `damage` says why there was none.

    `generation` is the one that is used afterwards.
    """

    position: int
    generation: int
    lines: int
    differences: tuple[Difference, ...]
    damage: str = ""

    @property
    def good(self) -> bool:
        return not self.differences and not self.damage


async def rebuild(frames: Frames[H], shelf: Shelf) -> Verdict:
    """Build the next generation, compare it with the one that is used, and let it be used.

    Whoever reads goes on meanwhile. Raises `ShelfInUseError`, `FeedError`, `StoreLockedError`.
    """
    async with shelf.rebuilding():
        notes = await Notes.begin(shelf, "rebuild", await frames.end())
        generation = await shelf.fresh()
        try:
            verdict = await _compared(Watched(frames, notes), shelf, generation)
            await shelf.finish(generation)
        finally:
            await shelf.discard(generation)
        await shelf.use(generation)
        await _noted(notes, verdict)
        return msgspec.structs.replace(verdict, generation=generation)


async def verify(frames: Frames[H], shelf: Shelf) -> Verdict:
    """Compare the views that are used with what the journal says. Raises as `rebuild`."""
    async with shelf.rebuilding():
        notes = await Notes.begin(shelf, "verify", await frames.end())
        generation = await shelf.fresh()
        try:
            verdict = await _compared(Watched(frames, notes), shelf, generation)
        finally:
            await shelf.discard(generation)
        await _noted(notes, verdict)
        return verdict


async def _noted(notes: Notes, verdict: Verdict) -> None:
    many = len(verdict.differences)
    await notes.over(verdict.position, verdict.lines, many, verdict.damage)


async def _compared(frames: Frames[H], shelf: Shelf, fresh: Generation) -> Verdict:
    """Build a generation beside, as far as the used views are, and compare."""
    used = await shelf.current()
    if used is None:
        return await _alone(frames, shelf, fresh, "there are no views yet")
    try:
        async with closing(await shelf.reader(used)) as reader:
            await reader.check()
            if await reader.is_of_today():
                return await _beside(frames, shelf, fresh, (used, reader))
            why = f"{shelf.name(used)} has the shape of another version"
            return await _alone(frames, shelf, fresh, why)
    except (StoreDamagedError, StoreTooNewError) as error:
        return await _alone(frames, shelf, fresh, str(error))


async def _beside(
    frames: Frames[H], shelf: Shelf, fresh: Generation, used: tuple[Generation, Reader]
) -> Verdict:
    generation, reader = used
    stands = await reader.begin()
    is_there = await frames.end() >= stands.position
    built = await build(frames, shelf, fresh, stands) if is_there else None
    if built != stands:
        why = f"position {stands.position:,} of the views is not so in the journal"
        return await _alone(frames, shelf, fresh, why)
    async with closing(await shelf.reader(fresh, beside=True)) as rebuilt:
        await rebuilt.begin()
        lines = sum([await rebuilt.count(view) for view in ALL])
        differences: list[Difference] = []
        async with aclosing(differing(reader, rebuilt)) as found:
            async for one in found:
                differences.append(one)
                if len(differences) == DIFFERENCES_MAX:
                    break
    return Verdict(stands.position, generation, lines, tuple(differences))


async def _alone(frames: Frames[H], shelf: Shelf, fresh: Generation, why: str) -> Verdict:
    """Build up to the end of the journal, where there is nothing to compare with."""
    await shelf.discard(fresh)
    built = await build(frames, shelf, fresh, Checkpoint(await frames.end()))
    return Verdict(built.position, 0, 0, (), why)


async def build(
    frames: Frames[H], shelf: Shelf, fresh: Generation, until: Checkpoint
) -> Checkpoint:
    """Fold the journal into a new generation up to a checkpoint; return how far it came.

    It gives up beyond it, and where no frame comes for `STILL_S`.
    """
    async with (
        aclosing(_up_to(frames, until)) as wanted,
        closing(await shelf.store(fresh, beside=True)) as store,
    ):
        return await poured(store, wanted)


async def poured(store: Store, frames: AsyncGenerator[Frame[Fact]]) -> Checkpoint:
    """Fold frames into a new store, in batches; return how far it came."""
    projector = Projector()
    async with aclosing(_batches(frames)) as batches:
        async for batch in batches:
            await store.write(await finished(partial(projector.take, batch)))
    return projector.checkpoint


async def _batches(frames: AsyncGenerator[Frame[Fact]]) -> AsyncGenerator[list[Frame[Fact]]]:
    batch: list[Frame[Fact]] = []
    events = 0
    async for frame in frames:
        batch.append(frame)
        events += len_of(frame)
        if events >= BATCH_EVENTS:
            yield batch
            batch, events = [], 0
    if batch:
        yield batch


async def _up_to(frames: Frames[H], until: Checkpoint) -> AsyncGenerator[Frame[Fact]]:
    """Yield the frames up to a checkpoint."""
    position, quiet = 0, 0
    async with aclosing(frames.follow(None)) as steps:
        while (position, quiet) < (until.position, until.quiet):
            try:
                async with asyncio.timeout(STILL_S):
                    _, frame = await anext(steps)
            except TimeoutError:
                break
            if last_position(frame) > until.position:
                break
            position, quiet = last_position(frame), 0 if len_of(frame) else quiet + 1
            yield frame


async def differing(used: Reader, rebuilt: Reader) -> AsyncGenerator[Difference]:
    """Yield every row that is not the same, of all views and of the state behind them."""
    for view in ALL:
        pair = (used.rows(view), rebuilt.rows(view))
        async for one in _unequal(view.name, pair, itemgetter(1 if view.is_log else 0)):
            yield one
    async for one in _unequal("state", (used.state(), rebuilt.state()), itemgetter(0, 1)):
        yield one


async def _unequal(
    name: str, pair: tuple[AsyncIterator[Any], AsyncIterator[Any]], key: Callable[[Any], Any]
) -> AsyncGenerator[Difference]:
    """Walk two iterators in the order of their keys, side by side."""
    left, right = pair
    a, b = await anext(left, None), await anext(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and key(a) < key(b)):
            yield Difference(name, str(key(a)), shown(a), "")
            a = await anext(left, None)
        elif a is None or key(b) < key(a):
            yield Difference(name, str(key(b)), "", shown(b))
            b = await anext(right, None)
        else:
            if a != b:
                yield Difference(name, str(key(a)), shown(a), shown(b))
            a, b = await anext(left, None), await anext(right, None)


@asynccontextmanager
async def closing(thing: C) -> AsyncGenerator[C]:
    """Close a store or a reader at the end of the block."""
    try:
        yield thing
    finally:
        await thing.close()


def shown(row: Any) -> str:
    """Return a row for people: the line, or what else it holds."""
    texts = [x.decode(errors="replace") if isinstance(x, bytes) else str(x) for x in row]
    return max(texts, key=len)[:SHOWN_MAX]

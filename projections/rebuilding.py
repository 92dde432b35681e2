"""Views built again from the journal, beside those that are used, and compared row by row."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from domain.decider import Frame
from domain.facts import Fact
from projections.batches import Checkpoint, Projector, len_of
from projections.feed import Frames, H, last_position
from projections.keeping import finished
from projections.shelf import Shelf, remove
from projections.sqlite import (
    SqliteReader,
    SqliteStore,
    StoreDamagedError,
    StoreTooNewError,
)
from projections.views import ALL

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

    Whoever reads goes on meanwhile. Raises `ShelfInUseError`, `FeedError`.
    """
    with shelf.rebuilding():
        path = shelf.fresh()
        try:
            verdict = await _compared(frames, shelf, shelf.unfinished(path))
            shelf.finish(path)
        finally:
            remove(shelf.unfinished(path))
        shelf.use(path)
        return msgspec.structs.replace(verdict, generation=shelf.number(path))


async def verify(frames: Frames[H], shelf: Shelf) -> Verdict:
    """Compare the views that are used with what the journal says. Raises as `rebuild`."""
    with shelf.rebuilding():
        beside = shelf.unfinished(shelf.fresh())
        try:
            return await _compared(frames, shelf, beside)
        finally:
            remove(beside)


async def _compared(frames: Frames[H], shelf: Shelf, beside: Path) -> Verdict:
    """Build into a file beside, as far as the used views are, and compare."""
    used = shelf.current()
    if used is None:
        return await _alone(frames, beside, "there are no views yet")
    try:
        with closing(SqliteReader(used)) as reader:
            reader.check()
            if reader.is_of_today():
                return await _beside(frames, beside, reader, shelf.number(used))
            return await _alone(frames, beside, f"{used} has the shape of another version")
    except (StoreDamagedError, StoreTooNewError) as error:
        return await _alone(frames, beside, str(error))


async def _beside(
    frames: Frames[H], beside: Path, reader: SqliteReader, generation: int
) -> Verdict:
    used = reader.begin()
    built = await build(frames, beside, used) if await frames.end() >= used.position else None
    if built != used:
        why = f"position {used.position:,} of the views is not so in the journal"
        return await _alone(frames, beside, why)
    lines, differences = await finished(lambda: _differences(reader, beside))
    return Verdict(used.position, generation, lines, differences)


async def _alone(frames: Frames[H], beside: Path, why: str) -> Verdict:
    """Build up to the end of the journal, where there is nothing to compare with."""
    remove(beside)
    built = await build(frames, beside, Checkpoint(await frames.end()))
    return Verdict(built.position, 0, 0, (), why)


async def build(frames: Frames[H], path: Path, until: Checkpoint) -> Checkpoint:
    """Fold the journal into a new file up to a checkpoint; return how far it came.

    It gives up beyond it, and where no frame comes for `STILL_S`.
    """
    async with aclosing(_up_to(frames, until)) as wanted:
        return await fill(path, wanted)


async def fill(path: Path, frames: AsyncGenerator[Frame[Fact]]) -> Checkpoint:
    """Fold frames into a new file, in batches; return how far it came."""
    store = await finished(partial(SqliteStore, path))
    projector = Projector()
    try:
        async with aclosing(_batches(frames)) as batches:
            async for batch in batches:
                told = await finished(partial(projector.take, batch))
                await finished(partial(store.write, told))
    finally:
        await finished(store.close)
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


def _differences(used: SqliteReader, beside: Path) -> tuple[int, tuple[Difference, ...]]:
    """Return how many lines there are, and where they are not the same."""
    with closing(SqliteReader(beside)) as rebuilt:
        rebuilt.begin()
        lines = sum(rebuilt.count(view) for view in ALL)
        return lines, tuple(islice(differing(used, rebuilt), DIFFERENCES_MAX))


def differing(used: SqliteReader, rebuilt: SqliteReader) -> Iterator[Difference]:
    """Yield every row that is not the same, of all views and of the state behind them."""
    for view in ALL:
        pairs = (used.rows(view), rebuilt.rows(view))
        yield from _unequal(view.name, pairs, itemgetter(1 if view.is_log else 0))
    yield from _unequal("state", (used.state(), rebuilt.state()), itemgetter(0, 1))


def _unequal(
    name: str, pair: tuple[Iterator[Any], Iterator[Any]], key: Callable[[Any], Any]
) -> Iterator[Difference]:
    """Walk two iterators in the order of their keys, side by side."""
    left, right = pair
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and key(a) < key(b)):
            yield Difference(name, str(key(a)), shown(a), "")
            a = next(left, None)
        elif a is None or key(b) < key(a):
            yield Difference(name, str(key(b)), "", shown(b))
            b = next(right, None)
        else:
            if a != b:
                yield Difference(name, str(key(a)), shown(a), shown(b))
            a, b = next(left, None), next(right, None)


def shown(row: Any) -> str:
    """Return a row for people: the line, or what else it holds."""
    texts = [x.decode(errors="replace") if isinstance(x, bytes) else str(x) for x in row]
    return max(texts, key=len)[:SHOWN_MAX]

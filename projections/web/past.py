"""The views as they were: built from the journal up to a moment, and kept for a while."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic

from domain.decider import Frame
from domain.facts import Fact
from domain.messages import Code, Refusal
from projections.batches import Checkpoint, Projector, len_of
from projections.feed import Frames, H, last_position
from projections.keeping import Live, finished
from projections.moments import Moment, until
from projections.shelf import remove
from projections.sqlite import SqliteStore

KEPT_MAX = 4
"""Moments that are kept built."""
BATCH_EVENTS = 5_000
BUILD_S = 20.0
"""How long a moment may take to build."""


class Pasts(Generic[H]):
    """Moments of the past, each built once; the least used is forgotten."""

    def __init__(self, frames: Frames[H]) -> None:
        self._frames = frames
        self._folder = TemporaryDirectory(prefix="restow-past-")
        self._built: OrderedDict[Moment, Live] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._count = 0

    async def at(self, moment: Moment) -> Live | Refusal:
        """Return the views as they were at a moment."""
        async with self._one_at_a_time:
            found = self._built.get(moment)
            if found is None:
                end = await self._frames.end()
                if moment.position is not None and moment.position > end:
                    detail = f"position {moment.position:,} has not come yet, the last is {end:,}"
                    return Refusal(Code.REQUEST_INVALID, detail, "query as_of", {"position": end})
                path = Path(self._folder.name, f"past-{self._count}.db")
                self._count += 1
                try:
                    async with asyncio.timeout(BUILD_S):
                        await self._build(moment, path, end)
                except TimeoutError:
                    await finished(partial(remove, path))
                    return Refusal(Code.WAIT_TIMEOUT, TOO_LONG, "query as_of")
                found = self._built[moment] = Live(path)
            self._built.move_to_end(moment)
            while len(self._built) > KEPT_MAX:
                _, old = self._built.popitem(last=False)
                old.close()
                remove(old.path)
            return found

    async def _build(self, moment: Moment, path: Path, end: int) -> Checkpoint:
        store = await finished(partial(SqliteStore, path))
        projector = Projector()
        try:
            async with aclosing(_batches(self._frames, moment, end)) as batches:
                async for frames in batches:
                    batch = await asyncio.to_thread(projector.take, frames)
                    await finished(partial(store.write, batch))
        finally:
            await finished(store.close)
        return projector.checkpoint

    def close(self) -> None:
        for live in self._built.values():
            live.close()
        self._folder.cleanup()


TOO_LONG = (
    f"this moment took longer than {BUILD_S:g} s to build from the journal;"
    " `restow <noun> list --at <moment>` has no such limit"
)


async def _batches(
    frames: Frames[H], moment: Moment, end: int
) -> AsyncGenerator[list[Frame[Fact]]]:
    """Yield what had happened by then, in batches; `end` is that of the journal."""
    batch: list[Frame[Fact]] = []
    position, events = 0, 0
    async with aclosing(frames.follow(None)) as steps:
        while position < end:
            _, frame = await anext(steps)
            then = until(frame, moment)
            batch.append(then)
            position = last_position(frame)
            events += len_of(then)
            if events >= BATCH_EVENTS:
                yield batch
                batch, events = [], 0
            if len(then.commits) < len(frame.commits):
                break
    if batch:
        yield batch

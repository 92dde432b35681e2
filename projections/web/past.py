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
from projections.feed import Frames, H, last_position
from projections.keeping import Live, finished
from projections.moments import Moment, until
from projections.rebuilding import fill
from projections.shelf import remove

KEPT_MAX = 4
"""Moments that are kept built."""
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
                    async with (
                        asyncio.timeout(BUILD_S),
                        aclosing(_until(self._frames, moment, end)) as wanted,
                    ):
                        await fill(path, wanted)
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

    def close(self) -> None:
        for live in self._built.values():
            live.close()
        self._folder.cleanup()


TOO_LONG = (
    f"this moment took longer than {BUILD_S:g} s to build from the journal;"
    " `restow <noun> list --at <moment>` has no such limit"
)


async def _until(frames: Frames[H], moment: Moment, end: int) -> AsyncGenerator[Frame[Fact]]:
    """Yield what had happened by then; `end` is that of the journal."""
    position = 0
    async with aclosing(frames.follow(None)) as steps:
        while position < end:
            _, frame = await anext(steps)
            then = until(frame, moment)
            yield then
            position = last_position(frame)
            if len(then.commits) < len(frame.commits):
                break

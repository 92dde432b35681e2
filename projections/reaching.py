"""Reaching a moment: the nearest keyframe, and the journal from there on.

A moment ends with a commit as a whole. Every keyframe is held against the journal before anything
is told from it; without a good one the journal is read from its first frame.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from itertools import islice
from typing import Generic

import msgspec

from domain.decider import Commit, Frame
from domain.facts import Fact
from projections.feed import Frames, H
from projections.files import finished
from projections.keyframes import (
    Kept,
    Keyframes,
    Pace,
    StrangeKeyframeError,
    following,
    nearest,
    reads_of,
    scene_of,
    undisturbed,
)
from projections.moments import Moment, until
from projections.reads import Reads

TRIES_MAX = 3
"""Keyframes that are tried; if so many are not good, the journal alone is believed."""
TURN = 100
"""Frames after which others have their turn."""


class Reached(msgspec.Struct, frozen=True):
    """A moment: the reads as they were, and from which position the journal was read.

    `whole`: nothing was passed over, so that events, commands and old stories are known too.
    `notes` are for whoever asked: why keyframes were passed over.
    """

    reads: Reads
    begun: int
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return not self.begun


class Reaching(Generic[H]):
    """Reaches moments of one journal, with keyframes where there are some."""

    def __init__(self, frames: Frames[H], keyframes: Keyframes) -> None:
        self._frames = frames
        self._keyframes = keyframes

    async def reach(self, moment: Moment) -> Reached:
        """Return the region as it was, without what was over by then."""
        end = await self._frames.end()
        notes: list[str] = []
        for kept in await self._near(moment, end):
            try:
                reads = await self._from(kept, moment, end)
            except StrangeKeyframeError as error:
                notes.append(str(error))
            else:
                return Reached(reads, kept.position, tuple(notes))
        return msgspec.structs.replace(await self.whole(moment), notes=tuple(notes))

    async def whole(self, moment: Moment, events_max: int | None = None) -> Reached:
        """Return the region as it was with all that is known, read from the first frame."""
        end = await self._frames.end()
        reads = Reads(events_max)
        if end:
            async with aclosing(self._frames.follow(None)) as steps:
                await _take(reads, steps, moment, end)
        return Reached(reads, 0)

    async def commits(self, after: int, moment: Moment) -> AsyncGenerator[tuple[int, Commit[Fact]]]:
        """Yield the commits with events beyond position `after` up to a moment, and their ends."""
        end = await self._frames.end()
        if after >= end:
            return
        head = await self._frames.before(after)
        async with aclosing(self._frames.follow(head)) as steps:
            async for _, frame in steps:
                position = frame.position - 1
                for commit in frame.commits:
                    position += len(commit.events)
                    if not moment.has(commit, position):
                        return
                    if position > after and commit.events:
                        yield position, commit
                if position >= end:
                    return

    async def places(self) -> list[int]:
        """Return the positions of the keyframes that there are."""
        return [kept.position for kept in await finished(self._keyframes.all)]

    async def _near(self, moment: Moment, end: int) -> list[Kept]:
        found = await finished(partial(nearest, self._keyframes, moment, end))
        return list(islice(found, TRIES_MAX))

    async def _from(self, kept: Kept, moment: Moment, end: int) -> Reads:
        with undisturbed():
            scene = await finished(partial(self._keyframes.read, kept))
            reads = reads_of(scene)
            async with aclosing(following(self._frames, scene.checkpoint)) as steps:
                await anext(steps)
                await _take(reads, steps, moment, end)
        return reads


async def _take(
    reads: Reads, steps: AsyncGenerator[tuple[H, Frame[Fact]]], moment: Moment, end: int
) -> None:
    """Read on to a moment, or to the end of the journal."""
    turn = 0
    while reads.position < end:
        _, frame = await anext(steps)
        then = until(frame, moment)
        reads.take(then)
        if len(then.commits) < len(frame.commits):
            return
        turn += 1
        if turn % TURN == 0:
            await asyncio.sleep(0)


class Framing:
    """Makes keyframes as the journal is read from its start."""

    def __init__(self, keyframes: Keyframes) -> None:
        self._keyframes = keyframes
        self._pace = Pace()

    async def passed(self, reads: Reads, frame: Frame[Fact]) -> None:
        """Keep a keyframe right behind `frame`, which `reads` has just taken, if it is time."""
        if not self._pace.due(frame, len(reads.fleet.containers)):
            return
        if await finished(partial(self._keyframes.has, reads, frame)):
            return
        scene = scene_of(reads, frame)
        await finished(partial(self._keyframes.keep, scene))

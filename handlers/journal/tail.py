"""The newest frames of the journal, read, verified and decoded once for all who follow it here.

Several parts of one process follow the same journal: views, reads, the relay. Whoever is near its
end is given what was read for all; whoever is further behind reads by itself until it is near.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing

from domain.decider import Frame
from domain.facts import Fact
from domain.subjects import Subjects
from domain.wire import count_events
from handlers.bus import Bus
from handlers.journal.reader import Head, Heard, JournalDamagedError, follow, newest

FRAMES_MAX = 2_000
"""Frames that are kept for who is a little behind."""
EVENTS_MAX = 20_000
"""Events that these have at most, but for the newest frame."""
TURN = 50
"""Frames given out in a row, after which others have their turn."""

Step = tuple[Head, Frame[Fact]]


class Tail:
    """What was written last. Any number may `follow`, while somebody runs `run`."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects
        self._kept: deque[tuple[Step, str]] = deque()
        self._traces = ""
        self._events = 0
        self._head: Head | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def reads(self) -> bool:
        """Whether it is known where the journal's end is: from there on all is read for all."""
        return self._head is not None

    @property
    def frames(self) -> int:
        """How many frames are kept."""
        return len(self._kept)

    async def run(self) -> None:
        """Read on from the journal's end, for ever. Raises as `handlers.journal.reader.follow`."""
        self._head = await newest(self._bus, self._subjects)
        self._wake()
        async with aclosing(follow(self._bus, self._subjects, self._head, self._hear)) as steps:
            async for step in steps:
                self._take(step)

    def _hear(self, _position: int, traces: str) -> None:
        """Note the traces of the frame that comes now."""
        self._traces = traces

    def _take(self, step: Step) -> None:
        self._head = step[0]
        self._kept.append((step, self._traces))
        self._traces = ""
        self._events += count_events(step[1].commits)
        while len(self._kept) > FRAMES_MAX or (self._events > EVENTS_MAX and len(self._kept) > 1):
            (_, frame), _ = self._kept.popleft()
            self._events -= count_events(frame.commits)
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def follow(self, after: Head, heard: Heard | None = None) -> AsyncGenerator[Step]:
        """Yield every frame after `after`, and then those to come, for ever.

        Nothing before `run` has begun. `heard` is told of each frame's traces before the frame is.
        Raises as `handlers.journal.reader.follow`.
        """
        head, turn = after, 0
        while True:
            if not self.reads:
                await self._news()
            if not self._reaches(head):
                async with aclosing(self._alone(head, heard)) as steps:
                    async for step in steps:
                        yield step
                        head = step[0]
            found = self._next(head)
            if found is None:
                turn = 0
                await self._news()
                continue
            step, traces = found
            if heard is not None and traces:
                heard(step[0].position, traces)
            yield step
            head = step[0]
            turn += 1
            if turn % TURN == 0:
                await asyncio.sleep(0)

    async def _alone(self, after: Head, heard: Heard | None) -> AsyncGenerator[Step]:
        """Read until what follows is here."""
        async with aclosing(follow(self._bus, self._subjects, after, heard)) as steps:
            async for step in steps:
                yield step
                if self._reaches(step[0]):
                    return

    def _reaches(self, head: Head) -> bool:
        """Tell whether whatever follows a head is here, or will come here."""
        if self._kept:
            (oldest, _), _ = self._kept[0]
            return head.seq >= oldest.seq - 1
        return self._head is not None and head.seq >= self._head.seq

    def _next(self, head: Head) -> tuple[Step, str] | None:
        """Return the frame after a head, and its traces; None where it is still to come."""
        last = self._head.seq if self._head else 0
        if head.seq >= last:
            return None
        found = self._kept[head.seq - last]
        (_, frame), _ = found
        if frame.prev != head.hash:
            expected, was = f"hash of the frame before {head.hash.hex()}", frame.prev.hex()
            raise JournalDamagedError(self._subjects.stream("JNL"), head, expected, was)
        return found

    async def _news(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

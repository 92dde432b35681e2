"""One process that shows: the reads, the queries on them, the relay, and what the audit is fed.

The reads are built from the first frame on; until they have caught up, each question is told how
far they are. The relay goes on where the stream of public events ends.
Whatever goes wrong in a part stops all of them, and the process is started again.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Generic

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from domain.decider import Frame
from domain.facts import Fact
from domain.messages import HostId, Instant
from domain.meters import Board
from domain.subjects import Subjects
from projections.feed import Auditor, Frames, H, Noter
from projections.meters import families
from projections.queries import Progress, Queries
from projections.reaching import Framing
from projections.reads import Reads
from projections.relay import Relay

log = structlog.stdlib.get_logger(__name__)

TELL_S = 2.0
"""How often the log says how far the reads are while they catch up."""
AUDIT_BEHIND_MAX = 1_000
"""Frames that the audit may be behind the reads; then these wait for it."""
AUDIT_BATCH_MAX = 200
"""Frames that the audit is given at once."""


async def run(  # noqa: PLR0913 - the parts of a process
    nc: Client,
    subjects: Subjects,
    frames: Frames[H],
    *,
    audit: Auditor | None = None,
    framing: Framing | None = None,
    noter: Noter[H] | None = None,
    ready: Callable[[], None] = lambda: None,
    board: Board | None = None,
) -> None:
    """Show a region until cancelled; `ready` is called when questions are answered.

    What goes wrong comes out in an exception group.
    """
    feeding = Feeding(frames, framing, noter)
    relay = Relay(nc, subjects, frames)
    if board is not None:
        board.sources.append(lambda: families(feeding.reads, feeding.progress, relay.position))
    async with asyncio.TaskGroup() as group:
        feeding.progress.goal = await frames.end()
        group.create_task(feeding.run(audit))
        group.create_task(relay.run())
        await hear_hosts(nc, subjects, feeding.reads.heard)
        queries = Queries(nc, subjects, feeding.reads, feeding.progress)
        serving = asyncio.Event()
        group.create_task(queries.serve(serving))
        await feeding.caught_up()
        await serving.wait()
        ready()


async def hear_hosts(nc: Client, subjects: Subjects, heard: dict[HostId, Instant]) -> None:
    """Note from now on when each host was heard last."""

    async def hear(message: Msg) -> None:
        heard[HostId(message.subject.rpartition(".")[2])] = Instant(time.time_ns() // 1_000_000)

    await nc.subscribe(subjects.beats_all, cb=hear)  # pyright: ignore[reportUnknownMemberType]


class Feeding(Generic[H]):
    """Follows the journal, for the reads and for the audit; keyframes are made on the way.

    A noter is told of every frame before anything is made of it.
    """

    def __init__(
        self, frames: Frames[H], framing: Framing | None = None, noter: Noter[H] | None = None
    ) -> None:
        self.reads = Reads()
        self.progress = Progress()
        self._frames = frames
        self._framing = framing
        self._noter = noter
        self._caught_up = asyncio.Event()

    async def run(self, audit: Auditor | None) -> None:
        """Take in every frame, for ever."""
        if audit is None:
            await self._follow(None)
            return
        behind = asyncio.Queue[Frame[Fact]](AUDIT_BEHIND_MAX)
        async with asyncio.TaskGroup() as group:
            group.create_task(feed_audit(audit, behind))
            group.create_task(self._follow(behind))

    async def _follow(self, behind: asyncio.Queue[Frame[Fact]] | None) -> None:
        async with aclosing(self._frames.follow(None)) as frames:
            async for head, frame in frames:
                if self._noter is not None:
                    self._noter.passed(head)
                self.reads.take(frame)
                self.progress.reached(self.reads.position)
                if self._framing is not None:
                    await self._framing.passed(self.reads, frame)
                if behind is not None:
                    await behind.put(frame)
                if self.progress.behind() is None:
                    self._caught_up.set()

    async def caught_up(self) -> None:
        """Wait until all that was written at the start is taken in; say how far it is meanwhile."""
        while self.progress.behind() is not None:
            try:
                async with asyncio.timeout(TELL_S):
                    await self._caught_up.wait()
            except TimeoutError:
                position, goal = self.progress.position, self.progress.goal
                await log.ainfo("reader.catching_up", position=position, goal=goal)


async def feed_audit(audit: Auditor, behind: asyncio.Queue[Frame[Fact]]) -> None:
    """Give the audit what is there, up to `AUDIT_BATCH_MAX` frames at a time, for ever."""
    while True:
        batch = [await behind.get()]
        while len(batch) < AUDIT_BATCH_MAX and not behind.empty():
            batch.append(behind.get_nowait())
        await audit.take_many(batch)

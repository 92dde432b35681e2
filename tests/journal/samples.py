"""Commits to write, and the whole of a journal to look at."""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing

from domain.decider import Commit, Frame, Recorded
from domain.facts import Fact
from domain.host import HostCordoned
from domain.messages import Accepted, AskId, HostId, Instant
from domain.subjects import Subjects
from domain.wire import decode_frame
from handlers.bus import Bus
from handlers.journal.reader import Head, read
from handlers.journal.stream import ensure
from handlers.journal.writer import NotAtTailError, Writer

Step = tuple[Head, Frame[Fact]]


def commit(ask: str, events: int = 1, reason: str = "") -> Commit[Fact]:
    """Return a commit of some events."""
    facts = tuple(
        Recorded[Fact]("host.h1", version, HostCordoned(HostId("h1"), reason))
        for version in range(1, events + 1)
    )
    return Commit(AskId(ask), "operator", "", Instant(0), Accepted(), facts)


async def whole(bus: Bus, subjects: Subjects, after: Head = Head()) -> list[Step]:  # noqa: B008
    """Return all that the journal holds after a head, verified."""
    async with aclosing(read(bus, subjects, after)) as frames:
        return [step async for step in frames]


async def until(happened: Callable[[], bool], within_s: float = 40.0) -> None:
    """Wait until something has happened; fail if it does not in time."""
    give_up = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.002)


async def new_writer(bus: Bus, subjects: Subjects) -> Writer:
    """Take over a journal, which is made if need be."""
    await ensure(bus, subjects)
    head = Head()
    while True:
        head = ([(head, None), *await whole(bus, subjects, head)])[-1][0]
        try:
            return await Writer.take_over(bus, subjects, head)
        except NotAtTailError:
            continue


async def written(bus: Bus, subjects: Subjects, frames: Iterable[bytes]) -> None:
    """Write what a world lived through down in a journal that begins with it."""
    writer = await new_writer(bus, subjects)
    for data in frames:
        await writer.append(list(decode_frame(data).commits))
    await writer.close()


def asks(steps: list[Step]) -> list[str]:
    """Return the ids of all asks, in the order in which they were written."""
    return [commit.ask for _, frame in steps for commit in frame.commits]

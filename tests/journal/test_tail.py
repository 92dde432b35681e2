"""What is written now is read once, for all who follow it in one process."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, asynccontextmanager

import msgspec
import pytest

from domain.subjects import Subjects
from domain.wire import GENESIS
from handlers.bus import Bus
from handlers.journal import tail as tails
from handlers.journal.reader import Head, JournalDamagedError
from handlers.journal.tail import Tail
from handlers.journal.writer import Writer
from tests.journal.samples import Step, asks, commit, new_writer, until

FRAMES = 30


class Follower:
    """Follows, and keeps what it is given; it takes nothing more while it is not to go on."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def run(self, tail: Tail, after: Head) -> None:
        async for step in tail.follow(after):
            self.steps.append(step)
            await self.go_on.wait()


@asynccontextmanager
async def beside(*runs: Coroutine[None, None, None]) -> AsyncGenerator[None]:
    """Run these until the block has ended; what one of them raises comes out in a group."""
    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        tasks = [group.create_task(run) for run in runs]
        yield
        for task in tasks:
            task.cancel()


async def append(writer: Writer, frames: int) -> None:
    """Append so many frames of one commit each."""
    for _ in range(frames):
        await writer.append([commit(f"a{writer.head.seq}")])


def as_written(writer: Writer, after: int = 1) -> list[str]:
    """Return the ids of all asks, in the order in which `append` wrote them."""
    return [f"a{seq}" for seq in range(after, writer.head.seq)]


async def test_all_who_follow_are_given_the_same_frames(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    tail, one, other = Tail(bus, subjects), Follower(), Follower()
    async with beside(tail.run(), one.run(tail, writer.head), other.run(tail, writer.head)):
        await until(lambda: tail.reads)
        await append(writer, FRAMES)
        await until(lambda: len(one.steps) == len(other.steps) == FRAMES)
    assert asks(one.steps) == as_written(writer)
    assert all(a is b for a, b in zip(one.steps, other.steps, strict=True))
    assert one.steps[-1][0].position == writer.head.position


async def test_who_begins_at_the_first_frame_is_given_each_once(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    await append(writer, FRAMES)
    tail, at_the_end, first = Tail(bus, subjects), Follower(), Follower()
    runs = at_the_end.run(tail, writer.head), first.run(tail, Head())
    async with beside(*runs, tail.run()):
        await until(lambda: len(first.steps) == FRAMES + 1)
        await append(writer, FRAMES)
        await until(lambda: len(first.steps) == 2 * FRAMES + 1)
        await until(lambda: len(at_the_end.steps) == FRAMES)
    assert asks(first.steps) == as_written(writer)
    assert asks(at_the_end.steps) == as_written(writer, FRAMES + 1)
    shared = zip(first.steps[-10:], at_the_end.steps[-10:], strict=True)
    assert all(a is b for a, b in shared)


async def test_who_falls_behind_reads_alone_and_misses_nothing(
    bus: Bus, subjects: Subjects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tails, "FRAMES_MAX", 5)
    writer = await new_writer(bus, subjects)
    tail, slow, quick = Tail(bus, subjects), Follower(), Follower()
    async with beside(tail.run(), slow.run(tail, writer.head), quick.run(tail, writer.head)):
        await until(lambda: tail.reads)
        slow.go_on.clear()
        await append(writer, FRAMES)
        await until(lambda: len(quick.steps) == FRAMES)
        slow.go_on.set()
        await until(lambda: len(slow.steps) == FRAMES)
        await append(writer, 3)
        await until(lambda: len(slow.steps) == len(quick.steps) == FRAMES + 3)
    assert asks(slow.steps) == asks(quick.steps) == as_written(writer)
    assert all(a is b for a, b in zip(slow.steps[-3:], quick.steps[-3:], strict=True))


async def test_large_frames_leave_sooner(
    bus: Bus, subjects: Subjects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tails, "EVENTS_MAX", 10)
    writer = await new_writer(bus, subjects)
    tail, follower = Tail(bus, subjects), Follower()
    async with beside(tail.run(), follower.run(tail, writer.head)):
        await until(lambda: tail.reads)
        for number in (4, 4, 4, 30, 1):
            await writer.append([commit(f"a{number}", events=number)])
        await until(lambda: len(follower.steps) == 5)
        assert tail.frames == 1


async def test_what_does_not_follow_from_what_was_read_is_damage(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    tail, begun = Tail(bus, subjects), writer.head
    async with beside(tail.run()):
        await until(lambda: tail.reads)
        await append(writer, 2)
        await until(lambda: tail.frames == 2)
        elsewhere = msgspec.structs.replace(begun, hash=GENESIS)
        async with aclosing(tail.follow(elsewhere)) as steps:
            with pytest.raises(JournalDamagedError, match="hash of the frame before"):
                await anext(steps)


async def test_a_tail_waits_for_the_journals_first_frame(bus: Bus, subjects: Subjects):
    tail, follower = Tail(bus, subjects), Follower()
    async with beside(tail.run(), follower.run(tail, Head())):
        await until(lambda: tail.reads)
        writer = await new_writer(bus, subjects)
        await append(writer, 2)
        await until(lambda: len(follower.steps) == 3)
    assert asks(follower.steps) == as_written(writer)

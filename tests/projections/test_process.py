"""All that is shown, from one journal: it catches up, answers, publishes, feeds, and stops."""

import asyncio
import time
from contextlib import asynccontextmanager

import msgspec
import pytest
from nats.errors import NoRespondersError

from domain.host import HostRated, HostRegistered
from domain.messages import HostId
from projections import process
from projections.feed import FeedError
from tests.projections.journal import Book, MemoryJournal
from tests.projections.story import frames_of

NORTH = HostId("north")


class Shelf:
    """An audit that keeps what it is given."""

    def __init__(self) -> None:
        self.frames = []
        self.biggest = 0

    async def take_many(self, frames):
        self.frames += frames
        self.biggest = max(self.biggest, len(frames))
        await asyncio.sleep(0)


@asynccontextmanager
async def running(bus, subjects, journal, audit=None):
    ready = asyncio.Event()
    shown = process.run(bus, subjects, journal, audit=audit, ready=ready.set)
    task = asyncio.create_task(shown)
    task.ready = ready
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def asked(bus, subjects, name, **fields):
    body = msgspec.json.encode(fields)
    return msgspec.json.decode((await bus.request(subjects.query(name), body, timeout=10)).data)


async def test_when_it_is_ready_it_has_caught_up(bus, subjects, evt):
    frames = frames_of(1)
    async with running(bus, subjects, MemoryJournal(frames)) as task:
        await asyncio.wait_for(task.ready.wait(), 10)
        said = await asked(bus, subjects, "status")
        assert said["position"] == sum(len(c.events) for f in frames for c in f.commits)


async def test_it_is_ready_soon_where_news_come_all_the_time(bus, subjects, evt):
    book = Book()
    book.clock = int(time.time() * 1_000) - 3_000
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    journal = MemoryJournal(book.frames)

    async def news():
        for n in range(1_000):
            book.clock = int(time.time() * 1_000) - 1_000
            await journal.write(book.say(HostRated(NORTH, n)))
            await asyncio.sleep(process.QUIET_S / 10)

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(news())
        async with running(bus, subjects, journal) as task:
            await asyncio.wait_for(task.ready.wait(), 5)
        writing.cancel()


async def test_an_empty_journal_is_shown_empty(bus, subjects, evt, monkeypatch):
    monkeypatch.setattr(process, "EMPTY_S", 0.05)
    async with running(bus, subjects, MemoryJournal()) as task:
        await asyncio.wait_for(task.ready.wait(), 10)
        assert (await asked(bus, subjects, "host.list"))["items"] == []


async def test_before_it_is_ready_nobody_answers(bus, subjects, evt):
    async with running(bus, subjects, MemoryJournal()):
        with pytest.raises(NoRespondersError):
            await asked(bus, subjects, "host.list")


async def test_one_feed_serves_reads_relay_and_audit(bus, subjects, evt):
    book = Book()
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    journal, shelf = MemoryJournal(book.frames), Shelf()
    heard = await bus.subscribe(subjects.events_all)
    async with running(bus, subjects, journal, shelf) as task:
        await asyncio.wait_for(task.ready.wait(), 10)
        for mark in range(5):
            await journal.write(book.say(HostRated(NORTH, mark)))
        said = await asked(bus, subjects, "host.show", host="north", min_position=book.position)
        assert (said["load_mark"], said["version"]) == (4, 6)
        messages = [await heard.next_msg(10) for _ in range(book.position)]
        positions = [msgspec.json.decode(message.data)["position"] for message in messages]
        assert positions == list(range(1, book.position + 1))
        async with asyncio.timeout(10):
            while len(shelf.frames) < len(book.frames):
                await asyncio.sleep(0.01)
    assert shelf.frames == book.frames


async def test_the_audit_is_given_many_frames_at_once(bus, subjects, evt):
    frames = frames_of(1)
    shelf = Shelf()
    async with running(bus, subjects, MemoryJournal(frames), shelf):
        async with asyncio.timeout(10):
            while len(shelf.frames) < len(frames):
                await asyncio.sleep(0.01)
    assert shelf.frames == list(frames)
    assert 1 < shelf.biggest <= process.AUDIT_BATCH_MAX


async def test_cancelled_it_stops_and_answers_no_more(bus, subjects, evt):
    async with running(bus, subjects, MemoryJournal(frames_of(1))) as task:
        await asyncio.wait_for(task.ready.wait(), 10)
    assert task.cancelled()
    with pytest.raises(NoRespondersError):
        await asked(bus, subjects, "host.list")


async def test_what_goes_wrong_in_a_part_stops_all(bus, subjects, evt):
    first, second, *_ = frames_of(1)
    torn = msgspec.structs.replace(second, position=second.position + 1)
    async with running(bus, subjects, MemoryJournal([first, torn])) as task:
        with pytest.RaisesGroup(FeedError, flatten_subgroups=True):
            await asyncio.wait_for(task, 10)

"""All that is shown, from one journal: it catches up, answers, publishes, feeds, and stops."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from nats.errors import NoRespondersError

from domain.decider import Frame
from domain.facts import Fact
from domain.host import HostRated, HostRegistered
from domain.messages import HostId, Instant
from projections import process
from projections.feed import FeedError, last_position
from tests.projections.journal import Book, MemoryJournal
from tests.projections.story import frames_of

pytestmark = pytest.mark.usefixtures("evt")
NORTH = HostId("north")


class Shelf:
    """An audit that keeps what it is given."""

    def __init__(self, enough: int) -> None:
        self.frames: list[Frame[Fact]] = []
        self.biggest = 0
        self.full = asyncio.Event()
        self._enough = enough

    async def take_many(self, frames):
        self.frames += frames
        self.biggest = max(self.biggest, len(frames))
        if len(self.frames) >= self._enough:
            self.full.set()


@asynccontextmanager
async def running(bus, subjects, journal, audit=None):
    ready = asyncio.Event()
    shown = process.run(bus, subjects, journal, audit=audit, ready=ready.set)
    task = asyncio.create_task(shown)
    try:
        yield task, ready
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def now_ms(ago_ms):
    return Instant(int(time.time() * 1_000) - ago_ms)


async def asked(bus, subjects, name, **fields):
    body = msgspec.json.encode(fields)
    return msgspec.json.decode((await bus.request(subjects.query(name), body, timeout=10)).data)


async def test_when_it_is_ready_it_has_caught_up(bus, subjects):
    frames = frames_of(1)
    async with running(bus, subjects, MemoryJournal(frames)) as (_task, ready):
        await asyncio.wait_for(ready.wait(), 10)
        said = await asked(bus, subjects, "status")
        assert said["position"] == sum(len(c.events) for f in frames for c in f.commits)


async def test_it_is_ready_soon_where_news_come_all_the_time(bus, subjects):
    book = Book()
    book.clock = now_ms(3_000)
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    journal = MemoryJournal(book.frames)

    async def news():
        for n in range(1_000):
            book.clock = now_ms(1_000)
            await journal.write(book.say(HostRated(NORTH, n)))
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(news())
        async with running(bus, subjects, journal) as (_task, ready):
            await asyncio.wait_for(ready.wait(), 5)
        writing.cancel()


async def test_an_empty_journal_is_shown_empty(bus, subjects):
    async with running(bus, subjects, MemoryJournal()) as (_task, ready):
        await asyncio.wait_for(ready.wait(), 10)
        assert (await asked(bus, subjects, "host.list"))["items"] == []


async def test_while_it_catches_up_each_question_is_told_how_far_it_is(
    bus, subjects, monkeypatch, capsys
):
    monkeypatch.setattr(process, "TELL_S", 0.05)
    first, *others = frames_of(1)

    class Slow(MemoryJournal):
        async def end(self):
            return last_position(others[-1])

    journal = Slow([first])
    async with running(bus, subjects, journal) as (_task, ready):
        said: dict[str, Any] = {}
        while "position" not in said.get("facts", {}):
            with suppress(NoRespondersError):
                said = await asked(bus, subjects, "host.list")
        assert said["code"] == "engine.catching_up"
        assert said["retryable"]
        assert said["facts"]["goal"] == last_position(others[-1])
        assert "the read side is reading the journal: " in said["detail"]
        while "reader.catching_up" not in capsys.readouterr().out:
            await asyncio.sleep(0.02)
        assert not ready.is_set()
        await journal.write(*others)
        await asyncio.wait_for(ready.wait(), 10)
        assert (await asked(bus, subjects, "host.list"))["items"]


async def test_one_feed_serves_reads_relay_and_audit(bus, subjects):
    book = Book()
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    journal, shelf = MemoryJournal(book.frames), Shelf(6)
    heard = await bus.subscribe(subjects.events_all)
    async with running(bus, subjects, journal, shelf) as (_task, ready):
        await asyncio.wait_for(ready.wait(), 10)
        for mark in range(5):
            await journal.write(book.say(HostRated(NORTH, mark)))
        said = await asked(bus, subjects, "host.show", host="north", min_position=book.position)
        assert (said["load_mark"], said["version"]) == (4, 6)
        messages = [await heard.next_msg(10) for _ in range(book.position)]
        positions = [msgspec.json.decode(message.data)["position"] for message in messages]
        assert positions == list(range(1, book.position + 1))
        await asyncio.wait_for(shelf.full.wait(), 10)
    assert shelf.frames == book.frames


async def test_the_audit_is_given_many_frames_at_once(bus, subjects):
    frames = frames_of(1)
    shelf = Shelf(len(frames))
    async with running(bus, subjects, MemoryJournal(frames), shelf):
        await asyncio.wait_for(shelf.full.wait(), 10)
    assert shelf.frames == list(frames)
    assert 1 < shelf.biggest <= process.AUDIT_BATCH_MAX


async def test_cancelled_it_stops_and_answers_no_more(bus, subjects):
    async with running(bus, subjects, MemoryJournal(frames_of(1))) as (task, ready):
        await asyncio.wait_for(ready.wait(), 10)
    assert task.cancelled()
    with pytest.raises(NoRespondersError):
        await asked(bus, subjects, "host.list")


async def test_what_goes_wrong_in_a_part_stops_all(bus, subjects):
    first, second, *_ = frames_of(1)
    torn = msgspec.structs.replace(second, position=second.position + 1)
    async with running(bus, subjects, MemoryJournal([first, torn])) as (task, _ready):
        with pytest.RaisesGroup(FeedError, flatten_subgroups=True):
            await asyncio.wait_for(task, 10)

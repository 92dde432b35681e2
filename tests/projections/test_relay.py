"""Every event of the journal comes to the bus once and in order, whatever happens to the relays."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest
from nats.errors import OutboundBufferLimitError

from domain.host import HostRated, HostRegistered
from domain.messages import HostId
from handlers.bus import connect
from handlers.nats_server import ServerOptions, start
from projections import relay as relaying
from projections.relay import Relay, StreamDivergedError
from tests.projections.journal import Book, MemoryJournal

HOSTS = [HostId(f"h{n}") for n in range(3)]


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    monkeypatch.setattr(relaying, "RETRY_S", 0.02)
    monkeypatch.setattr(relaying, "PATIENCE_S", 0.1)
    monkeypatch.setattr(relaying, "ACK_MAX_S", 0.5)


def book_of(frames, events=7):
    """Return a book of frames, each with commits of one and of several events."""
    book = Book()
    book.say(*(HostRegistered(host, 32, 100, 4_096, 12_800) for host in HOSTS))
    for n in range(frames):
        rated = [HostRated(HOSTS[(n + i) % 3], i) for i in range(events - 1)]
        book.frame(book.commit(rated[0]), book.commit(), book.commit(*rated[1:]))
        book.frame()
    return book


@asynccontextmanager
async def running(*relays):
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def until_published(bus, evt, position, within_s=20):
    give_up = asyncio.get_running_loop().time() + within_s
    while (await bus.jetstream().stream_info(evt)).state.last_seq < position:
        assert asyncio.get_running_loop().time() < give_up
        await asyncio.sleep(0.01)


async def published(bus, evt):
    """Return what stands in EVT: positions as bodies, headers and sequences have them."""
    js = bus.jetstream()
    state = (await js.stream_info(evt)).state
    messages = [await js.get_msg(evt, seq=n + 1) for n in range(state.last_seq)]
    bodies = [msgspec.json.decode(message.data) for message in messages]
    assert [m.headers["Restow-Position"] for m in messages] == [str(b["position"]) for b in bodies]
    assert [m.headers["Nats-Msg-Id"] for m in messages] == [b["id"] for b in bodies]
    return [body["position"] for body in bodies]


async def test_every_event_is_published_in_its_place(bus, subjects, evt):
    book = book_of(60)
    relay = Relay(bus, subjects, MemoryJournal(book.frames))
    async with running(relay):
        await until_published(bus, evt, book.position)
    assert await published(bus, evt) == list(range(1, book.position + 1))


async def test_a_relay_that_begins_again_goes_on_where_the_stream_ends(bus, subjects, evt):
    book = book_of(60)
    journal = MemoryJournal(book.frames)
    async with running(Relay(bus, subjects, journal)):
        await until_published(bus, evt, book.position)
    again = MemoryJournal(book.frames)
    async with running(Relay(bus, subjects, again)):
        await again.write(book.say(HostRated(HOSTS[0], 5)))
        await until_published(bus, evt, book.position)

    assert again.followed_from[0] >= len(book.frames) - 3
    assert await published(bus, evt) == list(range(1, book.position + 1))


async def test_events_are_published_as_they_happen(bus, subjects, evt):
    book = book_of(1)
    journal = MemoryJournal(book.frames)
    async with running(Relay(bus, subjects, journal)):
        await until_published(bus, evt, book.position)
        for n in range(5):
            await journal.write(book.say(HostRated(HOSTS[0], n)))
            await until_published(bus, evt, book.position)
    assert await published(bus, evt) == list(range(1, book.position + 1))


@pytest.mark.usefixtures("evt")
async def test_a_message_is_a_cloudevent_on_the_subject_of_its_aggregate(bus, subjects):
    book = Book()
    book.say(HostRegistered(HOSTS[0], 32, 100, 4_096, 12_800))
    heard = await bus.subscribe(subjects.events_all)
    async with running(Relay(bus, subjects, MemoryJournal(book.frames))):
        message = await heard.next_msg(10)
    assert message.subject == f"{subjects.prefix}.evt.host.h0"
    assert message.headers["Content-Type"] == "application/cloudevents+json"
    assert message.headers["Nats-Msg-Id"] == f"{subjects.prefix}.1"
    assert msgspec.json.decode(message.data)["type"] == "io.restow.host.registered.v1"


async def test_a_relay_that_is_stopped_anywhere_goes_on_where_it_was(bus, subjects, evt):
    book = book_of(120)
    reached = 0
    while reached < book.position:
        async with running(Relay(bus, subjects, MemoryJournal(book.frames))):
            await until_published(bus, evt, reached + 1)
        reached = (await bus.jetstream().stream_info(evt)).state.last_seq
    assert await published(bus, evt) == list(range(1, book.position + 1))


async def test_relays_that_compete_publish_everything_once(bus, subjects, evt):
    book = book_of(90)
    journals = [MemoryJournal(book.frames) for _ in range(3)]
    async with running(*(Relay(bus, subjects, journal) for journal in journals)):
        await until_published(bus, evt, book.position)
    assert await published(bus, evt) == list(range(1, book.position + 1))


async def test_a_passive_relay_takes_over_when_the_other_one_stops(bus, subjects, evt):
    book = book_of(3)
    journals = [MemoryJournal(book.frames), MemoryJournal(book.frames)]
    first, second = (Relay(bus, subjects, journal) for journal in journals)
    async with running(second):
        async with running(first):
            await until_published(bus, evt, book.position)
        news = book.say(HostRated(HOSTS[0], 9))
        await journals[1].write(news)
        await until_published(bus, evt, book.position)
    assert await published(bus, evt) == list(range(1, book.position + 1))


async def test_a_stream_that_lost_its_tail_is_filled_again(bus, subjects, evt):
    """As after a power cut of a server that did not sync: sequences are used again."""
    book = book_of(5)
    journal = MemoryJournal(book.frames)
    async with running(Relay(bus, subjects, journal)):
        await until_published(bus, evt, book.position)
        config = (await bus.jetstream().stream_info(evt)).config
        await bus.jetstream().delete_stream(evt)
        await bus.jetstream().add_stream(config)
        await journal.write(book.say(HostRated(HOSTS[0], 9)))
        await until_published(bus, evt, book.position)
    assert await published(bus, evt) == list(range(1, book.position + 1))


async def test_a_relay_waits_for_the_stream_to_be_there(bus, subjects):
    book = book_of(2)
    name = subjects.stream("EVT")
    async with running(Relay(bus, subjects, MemoryJournal(book.frames))):
        await asyncio.sleep(0.05)
        await bus.jetstream().add_stream(name=name, subjects=[subjects.events_all])
        await until_published(bus, name, book.position)
    assert await published(bus, name) == list(range(1, book.position + 1))


async def test_after_a_stall_the_feed_is_taken_up_where_it_was_left(
    bus, subjects, evt, monkeypatch
):
    book = book_of(40)
    journal = MemoryJournal(book.frames)
    relay = Relay(bus, subjects, journal)
    publish = bus.publish
    lost: list[int] = []

    async def lossy(subject, payload=b"", reply="", headers=None):
        """Lose one event in the middle, and later find the bus away for a moment."""
        place = int((headers or {}).get("Restow-Position", 0))
        if (place, len(lost)) in {(100, 0), (200, 2)}:
            lost.append(place)
        elif (place, len(lost)) == (150, 1):
            lost.append(place)
            raise OutboundBufferLimitError
        else:
            await publish(subject, payload, reply, headers)

    monkeypatch.setattr(bus, "publish", lossy)
    async with running(relay):
        await until_published(bus, evt, book.position)
    assert lost == [100, 150, 200]
    assert await published(bus, evt) == list(range(1, book.position + 1))
    assert journal.followed_from[0] == 0
    assert journal.followed_from[-1] > 0


@pytest.mark.usefixtures("evt")
async def test_a_stream_that_somebody_else_wrote_to_stops_the_relay(bus, subjects):
    await bus.jetstream().publish(subjects.event("host", "h0"), b"{}")
    book = book_of(1)
    async with running(Relay(bus, subjects, MemoryJournal(book.frames))) as (task,):
        with pytest.raises(StreamDivergedError, match="not written by a relay"):
            await asyncio.wait_for(task, 10)


async def test_a_stream_of_another_journal_stops_the_relay(bus, subjects, evt):
    other = Book()
    other.say(HostRegistered(HostId("elsewhere"), 32, 100, 4_096, 12_800))
    async with running(Relay(bus, subjects, MemoryJournal(other.frames))):
        await until_published(bus, evt, 1)
    async with running(Relay(bus, subjects, MemoryJournal(book_of(1).frames))) as (task,):
        with pytest.RaisesGroup(StreamDivergedError):
            await asyncio.wait_for(task, 10)


async def test_a_server_that_is_killed_and_started_again_costs_no_event(tmp_path, subjects):
    server = await start(ServerOptions(tmp_path))
    bus = await connect(server.url, name="relay")
    evt = subjects.stream("EVT")
    await bus.jetstream().add_stream(name=evt, subjects=[subjects.events_all])
    book = book_of(80)
    try:
        async with running(Relay(bus, subjects, MemoryJournal(book.frames))) as (task,):
            await until_published(bus, evt, 50)
            server.kill()
            await server.restart()
            async with asyncio.timeout(30):
                while not bus.is_connected:
                    await asyncio.sleep(0.01)
            await until_published(bus, evt, book.position)
            assert not task.done()
        assert await published(bus, evt) == list(range(1, book.position + 1))
    finally:
        await bus.close()
        server.stop()

"""An acknowledgement that does not come is found out about; what was acknowledged stays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from domain.decider import Frame
from domain.subjects import Subjects
from domain.wire import FRAME_VERSION, encode_frame
from handlers.bus import Bus, BusClosedError, BusUnavailableError, close, connect
from handlers.journal import sender
from handlers.journal.reader import Head, follow
from handlers.journal.stream import DUPLICATE_WINDOW, SECOND, ensure, info
from handlers.journal.writer import FencedError, Writer
from handlers.nats_server import Server, ServerOptions, port_of, start
from tests.journal.proxy import proxy_to
from tests.journal.samples import asks, commit, new_writer, until, whole


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[Server]:
    """Return a server that this test may stop."""
    server = await start(ServerOptions(tmp_path))
    yield server
    server.stop()


@pytest.fixture
async def own_bus(own_server: Server) -> AsyncIterator[Bus]:
    connection = await connect(own_server.url, name="own")
    yield connection
    await close(connection)


def test_outcomes_are_pursued_only_while_the_server_remembers_ids():
    assert sender.PATIENCE_S * 2 * SECOND <= DUPLICATE_WINDOW


async def test_a_frame_whose_acknowledgement_was_lost_is_stored_once(
    bus: Bus, nats_url: str, subjects: Subjects
):
    async with proxy_to(port_of(nats_url)) as (proxy, url):
        far = await connect(url, name="far")
        writer = await new_writer(far, subjects)
        for number in range(5):
            proxy.deaf = True
            head = await writer.append([commit(f"a{number}")])
            assert head.seq == number + 2
        await far.close()
    assert proxy.lost == 5
    assert asks(await whole(bus, subjects)) == ["a0", "a1", "a2", "a3", "a4"]


async def test_an_epoch_whose_acknowledgement_was_lost_is_begun_once(
    bus: Bus, nats_url: str, subjects: Subjects
):
    await ensure(bus, subjects)
    async with proxy_to(port_of(nats_url)) as (proxy, url):
        far = await connect(url, name="far")
        proxy.deaf = True
        writer = await Writer.take_over(far, subjects, Head())
        await writer.append([commit("a")])
        await far.close()
    assert proxy.lost == 1
    assert [frame.epoch for _, frame in await whole(bus, subjects)] == [1, 1]


async def test_a_stored_frame_counts_even_if_its_writer_was_fenced_meanwhile(
    bus: Bus, nats_url: str, subjects: Subjects
):
    async with proxy_to(port_of(nats_url)) as (proxy, url):
        far = await connect(url, name="far")
        old = await new_writer(far, subjects)
        proxy.deaf = True
        appending = asyncio.ensure_future(old.append([commit("stored")]))
        await until(lambda: proxy.lost == 1)
        new = await new_writer(bus, subjects)
        assert (await appending).seq == 2
        with pytest.raises(FencedError):
            await old.append([commit("never")])
        await new.append([commit("next")])
        await far.close()
    assert asks(await whole(bus, subjects)) == ["stored", "next"]


async def test_the_same_frame_sent_beforehand_is_taken_for_stored(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    at = writer.head
    frame = Frame(FRAME_VERSION, at.epoch, at.position + 1, at.hash, (commit("a"),))
    await bus.publish(
        subjects.frames, encode_frame(frame), headers={"Nats-Msg-Id": f"{at.epoch}-1"}
    )
    head = await writer.append([commit("a")])
    assert head.seq == 2
    assert asks(await whole(bus, subjects)) == ["a"]


async def test_a_foreign_frame_in_the_writers_place_ends_it(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    await bus.publish(subjects.frames, b"foreign", headers={"Nats-Msg-Id": "somebody"})
    with pytest.raises(FencedError, match="another writer's frame stands at sequence 2"):
        await writer.append([commit("a")])
    stream = await info(bus, subjects.stream("JNL"))
    assert stream
    assert stream.state.last_seq == 2


async def test_a_server_killed_while_writing_loses_nothing(
    own_server: Server, own_bus: Bus, subjects: Subjects
):
    writer = await new_writer(own_bus, subjects)
    acknowledged: list[str] = []

    async def write() -> None:
        for number in range(400):
            await writer.append([commit(f"a{number}")])
            acknowledged.append(f"a{number}")

    writing = asyncio.ensure_future(write())
    for moment in (50, 150, 250):
        await until(lambda: len(acknowledged) >= moment)  # noqa: B023 -- awaited here
        own_server.kill()
        await own_server.restart()
    await writing
    assert asks(await whole(own_bus, subjects)) == [f"a{number}" for number in range(400)]


async def test_a_frozen_server_only_delays(own_server: Server, own_bus: Bus, subjects: Subjects):
    writer = await new_writer(own_bus, subjects)
    own_server.pause()
    appending = asyncio.ensure_future(writer.append([commit("a")]))
    await asyncio.sleep(sender.ACK_S * 1.5)  # long enough to be sent twice
    assert not appending.done()
    own_server.resume()
    assert (await appending).seq == 2
    assert asks(await whole(own_bus, subjects)) == ["a"]


async def test_a_follower_goes_on_after_the_server_was_killed(
    own_server: Server, own_bus: Bus, subjects: Subjects
):
    writer = await new_writer(own_bus, subjects)
    heard = asyncio.Queue[str]()

    async def hear() -> None:
        async with aclosing(follow(own_bus, subjects, Head())) as frames:
            async for _, frame in frames:
                for one in frame.commits:
                    heard.put_nowait(one.ask)

    hearing = asyncio.ensure_future(hear())
    for number in range(6):
        await writer.append([commit(f"a{number}")])
        if number % 2:
            own_server.kill()
            await own_server.restart()
        assert await asyncio.wait_for(heard.get(), 20) == f"a{number}"
    hearing.cancel()
    assert heard.empty()


async def test_an_outcome_that_stays_unknown_is_said(
    own_server: Server, own_bus: Bus, subjects: Subjects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sender, "PATIENCE_S", 0.5)
    writer = await new_writer(own_bus, subjects)
    own_server.kill()
    with pytest.raises(BusUnavailableError, match="not known after"):
        await writer.append([commit("a")])


async def test_a_closed_connection_is_said_at_once(nats_url: str, subjects: Subjects):
    bus = await connect(nats_url, name="closing")
    writer = await new_writer(bus, subjects)
    await bus.close()
    with pytest.raises(BusClosedError):
        await asyncio.wait_for(writer.append([commit("a")]), 2)

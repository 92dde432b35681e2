"""What is appended is read again, whole and in order."""

import asyncio
from contextlib import aclosing

import pytest

from domain.subjects import Subjects
from domain.wire import COMMIT_BYTES_MAX, GENESIS
from handlers.bus import Bus, connect, flush
from handlers.journal.pull import BATCH
from handlers.journal.reader import Head, JournalDamagedError, before, end, follow, read
from handlers.journal.stream import ensure, put
from handlers.journal.writer import FrameTooLargeError, NotAtTailError, Writer, WriterBrokenError
from tests.journal.samples import asks, commit, new_writer, whole


async def test_an_empty_journal_has_no_frames(bus: Bus, subjects: Subjects):
    await ensure(bus, subjects)
    assert await whole(bus, subjects) == []


async def test_what_was_appended_is_read_in_order(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    for number in range(20):
        await writer.append([commit(f"a{number}", events=number % 3)])
    steps = await whole(bus, subjects)
    assert asks(steps) == [f"a{number}" for number in range(20)]
    assert steps[-1][0] == writer.head


async def test_frames_are_chained_and_positions_count_events(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    first = await writer.append([commit("a", events=3), commit("b", events=2)])
    second = await writer.append([commit("c")])
    (opened, epoch), (_, one), (_, two) = await whole(bus, subjects)
    assert (epoch.prev, epoch.commits, epoch.position) == (GENESIS, (), 1)
    assert (one.prev, one.position) == (opened.hash, 1)
    assert (two.prev, two.position) == (first.hash, 6)
    assert (second.position, second.seq, second.epoch, second.epoch_seq) == (6, 3, 1, 1)


async def test_commits_that_waited_together_are_one_frame(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    await writer.append([commit(f"a{number}") for number in range(100)])
    _, frame = (await whole(bus, subjects))[-1]
    assert len(frame.commits) == 100


async def test_reading_goes_on_where_it_ended(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    middle = await writer.append([commit("a")])
    await writer.append([commit("b")])
    assert asks(await whole(bus, subjects, middle)) == ["b"]
    assert await whole(bus, subjects, writer.head) == []


async def test_more_frames_than_two_requests_fetch_are_read(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    for number in range(2 * BATCH + 10):
        await writer.append([commit(f"a{number}")])
    assert asks(await whole(bus, subjects)) == [f"a{number}" for number in range(2 * BATCH + 10)]


async def test_frames_near_the_largest_are_read(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    reason = "x" * (COMMIT_BYTES_MAX - 1000)
    for number in range(12):
        await writer.append([commit(f"a{number}", reason=reason)])
    assert asks(await whole(bus, subjects)) == [f"a{number}" for number in range(12)]


async def test_a_follower_hears_what_comes_later(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    await writer.append([commit("a0")])
    heard: list[str] = []
    async with asyncio.timeout(10), aclosing(follow(bus, subjects, Head())) as frames:
        async for head, frame in frames:
            heard += [one.ask for one in frame.commits]
            if len(heard) == 5:
                break
            if head == writer.head:
                await writer.append([commit(f"a{len(heard)}")])
    assert heard == ["a0", "a1", "a2", "a3", "a4"]


async def test_a_quiet_follower_still_hears(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    async with asyncio.timeout(10), aclosing(follow(bus, subjects, writer.head)) as frames:
        later = asyncio.ensure_future(anext(frames))
        await asyncio.sleep(2.5)  # past the end of a request
        head = await writer.append([commit("late")])
        assert (await later)[0] == head


async def test_a_follower_waits_for_a_journal_that_no_engine_has_made_yet(
    bus: Bus, subjects: Subjects
):
    async with asyncio.timeout(10), aclosing(follow(bus, subjects, Head())) as frames:
        first = asyncio.ensure_future(anext(frames))
        await asyncio.wait({first}, timeout=0.5)
        assert not first.done()
        writer = await new_writer(bus, subjects)
        assert (await first)[0].seq == 1
        await writer.append([commit("a")])
        assert asks([await anext(frames)]) == ["a"]


async def test_each_new_writer_begins_an_epoch(bus: Bus, subjects: Subjects):
    for _ in range(3):
        writer = await new_writer(bus, subjects)
        await writer.append([commit("a")])
    assert [frame.epoch for _, frame in await whole(bus, subjects)] == [1, 1, 2, 2, 3, 3]


async def test_a_writer_must_have_read_to_the_end(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    await writer.append([commit("a")])
    with pytest.raises(NotAtTailError, match="goes on after sequence 0"):
        await Writer.take_over(bus, subjects, Head())


async def test_a_frame_too_large_is_refused_before_it_is_sent(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    with pytest.raises(FrameTooLargeError, match="max_payload is 1048576"):
        await writer.append([commit("big", reason="x" * bus.max_payload)])
    await writer.append([commit("small")])
    assert asks(await whole(bus, subjects)) == ["small"]


async def test_headers_count_towards_the_largest_frame(bus: Bus, subjects: Subjects):
    """A payload just below the limit and its headers make the server close the connection."""
    writer = await new_writer(bus, subjects)
    with pytest.raises(FrameTooLargeError):
        await writer.append([commit("big", reason="x" * (bus.max_payload - 150))])
    assert bus.is_connected
    await writer.append([commit("small")])


async def test_a_second_frame_in_flight_is_a_bug(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    first = asyncio.ensure_future(writer.append([commit("a")]))
    await asyncio.sleep(0)
    with pytest.raises(WriterBrokenError):
        await writer.append([commit("b")])
    await first


async def test_a_writer_cut_short_writes_no_more(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    first = asyncio.ensure_future(writer.append([commit("a")]))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(WriterBrokenError):
        await writer.append([commit("b")])


async def test_two_regions_on_one_server_do_not_meet(bus: Bus, subjects: Subjects):
    other = Subjects(f"{subjects.prefix}-2")
    mine, theirs = await new_writer(bus, subjects), await new_writer(bus, other)
    await mine.append([commit("mine")])
    await theirs.append([commit("theirs")])
    assert asks(await whole(bus, subjects)) == ["mine"]
    assert asks(await whole(bus, other)) == ["theirs"]


async def test_a_reader_leaves_no_consumer_behind(nats_url: str, subjects: Subjects):
    bus = await connect(nats_url, name="counting")
    await new_writer(bus, subjects)
    await whole(bus, subjects)
    await flush(bus)
    names = await bus.jetstream().consumers_info(subjects.stream("JNL"))
    await bus.close()
    assert names == []


async def test_a_place_is_found_by_its_position_and_read_on_from(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    for number in range(23):
        await writer.append([commit(f"a{number}", events=number % 4)])
    steps = await whole(bus, subjects)
    last = steps[-1][0].position
    assert await end(bus, subjects) == last
    for position in (0, 1, 7, last - 1, last, last + 5):
        found = await before(bus, subjects, position)
        wanted = [head for head, _ in steps if head.position <= position][-1]
        assert (found.seq, found.position, found.hash) == (wanted.seq, wanted.position, wanted.hash)
        rest = [frame async for _, frame in read(bus, subjects, found)]
        assert rest == [frame for head, frame in steps if head.seq > found.seq]


async def test_places_are_found_however_large_frames_are(bus: Bus, subjects: Subjects):
    """Where some frames have many events and most have none, a guess says little."""
    writer = await new_writer(bus, subjects)
    for number, events in enumerate([0, 0, 400, 1, 1, 0, 1, 300, 0, 0, 0, 0, 1, 2, 0, 0]):
        await writer.append([commit(f"a{number}", events=events)])
    steps = await whole(bus, subjects)
    for position in (0, 1, 399, 400, 401, 402, 403, 404, 702, 703, 704, 705, 706, 707):
        found = await before(bus, subjects, position)
        wanted = [head for head, _ in steps if head.position <= position][-1]
        assert (found.seq, found.position, found.hash) == (wanted.seq, wanted.position, wanted.hash)


async def test_an_empty_journal_ends_at_0(bus: Bus, subjects: Subjects):
    assert await end(bus, subjects) == 0
    await ensure(bus, subjects)
    assert (await end(bus, subjects), await before(bus, subjects, 5)) == (0, Head())


async def test_a_place_that_cannot_be_read_is_named(bus: Bus, subjects: Subjects):
    await ensure(bus, subjects)
    await put(bus, subjects.frames, b"no frame")
    with pytest.raises(JournalDamagedError, match="damaged at sequence 1 "):
        await end(bus, subjects)

"""A journal that is not what was written stops the reading and names the place."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from domain.decider import Frame
from domain.facts import Fact
from domain.subjects import Subjects
from domain.wire import FRAME_VERSION, decode_frame, encode_frame
from handlers.bus import Bus, connect
from handlers.journal.reader import JournalDamagedError, follow
from handlers.journal.stream import ensure, message_at, put
from handlers.nats_server import ServerOptions, start
from tests.journal.samples import commit, new_writer, whole

Message = tuple[str, bytes]
"""What is published again: "frame" or "epoch", and the bytes."""
FRAMES = 6


@pytest.fixture
async def good(bus: Bus, subjects: Subjects) -> list[Message]:
    """Return the messages of a journal that is as it should be."""
    writer = await new_writer(bus, subjects)
    for number in range(FRAMES - 1):
        await writer.append([commit(f"a{number}", events=2)])
    messages: list[Message] = []
    for seq in range(1, FRAMES + 1):
        stored = await message_at(bus, subjects.stream("JNL"), seq)
        assert stored
        messages.append((stored.subject.rpartition(".")[2], stored.data))
    return messages


async def read_again(bus: Bus, subjects: Subjects, messages: list[Message]) -> None:
    """Write the messages to another journal, as somebody would who can, and read it."""
    forged = Subjects(f"{subjects.prefix}-forged")
    await ensure(bus, forged)
    for kind, data in messages:
        await put(bus, f"{forged.prefix}.jnl.{kind}", data)
    await whole(bus, forged)


async def test_a_faithful_copy_is_good(bus: Bus, subjects: Subjects, good: list[Message]):
    await read_again(bus, subjects, good)


@pytest.mark.parametrize("place", range(1, FRAMES))
async def test_a_missing_frame_is_found(
    bus: Bus, subjects: Subjects, good: list[Message], place: int
):
    del good[place - 1]
    with pytest.raises(JournalDamagedError, match=f"sequence {place} ") as caught:
        await read_again(bus, subjects, good)
    assert caught.value.seq == place


async def test_a_frame_swapped_with_the_next_is_found(
    bus: Bus, subjects: Subjects, good: list[Message]
):
    good[2], good[3] = good[3], good[2]
    with pytest.raises(JournalDamagedError, match=r"at sequence 3 \(position 3\): expected hash"):
        await read_again(bus, subjects, good)


async def test_a_frame_written_twice_is_found(bus: Bus, subjects: Subjects, good: list[Message]):
    good.insert(3, good[2])
    with pytest.raises(JournalDamagedError, match=r"at sequence 4 \(position 5\)"):
        await read_again(bus, subjects, good)


async def test_an_altered_fact_is_found_at_the_next_frame(
    bus: Bus, subjects: Subjects, good: list[Message]
):
    frame = decode_frame(good[3][1])
    forged = msgspec.structs.replace(frame, commits=(commit("forged", events=2),))
    good[3] = ("frame", encode_frame(forged))
    with pytest.raises(JournalDamagedError, match=r"at sequence 5 .*hash of the frame before"):
        await read_again(bus, subjects, good)


async def test_a_frame_that_is_no_frame_is_found(bus: Bus, subjects: Subjects, good: list[Message]):
    good[3] = ("frame", good[3][1][:-1])
    with pytest.raises(JournalDamagedError, match=r"at sequence 4 .*not a frame of version"):
        await read_again(bus, subjects, good)


def of_another_epoch(frame: Frame[Fact]) -> Frame[Fact]:
    return msgspec.structs.replace(frame, epoch=frame.epoch + 1)


def at_another_position(frame: Frame[Fact]) -> Frame[Fact]:
    return msgspec.structs.replace(frame, position=frame.position + 1)


def of_another_version(frame: Frame[Fact]) -> Frame[Fact]:
    return msgspec.structs.replace(frame, version=FRAME_VERSION + 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (of_another_epoch, "expected epoch 1, found 2"),
        (at_another_position, "expected position 9, found 10"),
        (of_another_version, "frame of version 2; this Restow reads 1"),
    ],
)
async def test_a_last_frame_that_does_not_follow_is_found(
    bus: Bus,
    subjects: Subjects,
    good: list[Message],
    change: Callable[[Frame[Fact]], Frame[Fact]],
    says: str,
):
    good[-1] = ("frame", encode_frame(change(decode_frame(good[-1][1]))))
    with pytest.raises(JournalDamagedError, match=rf"at sequence 6 \(position 9\): .*{says}"):
        await read_again(bus, subjects, good)


async def test_facts_in_an_epoch_frame_are_found(bus: Bus, subjects: Subjects, good: list[Message]):
    frame = decode_frame(good[-1][1])
    good[-1] = ("epoch", encode_frame(of_another_epoch(frame)))
    with pytest.raises(JournalDamagedError, match="commits in an epoch frame 0, found 1"):
        await read_again(bus, subjects, good)


async def test_a_frame_before_any_epoch_is_found(bus: Bus, subjects: Subjects, good: list[Message]):
    frame = decode_frame(good[0][1])
    with pytest.raises(JournalDamagedError, match="expected epoch 0, found 1"):
        await read_again(bus, subjects, [("frame", encode_frame(frame))])


async def test_a_lost_tail_is_found(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    beyond = msgspec.structs.replace(writer.head, seq=5)
    with pytest.raises(JournalDamagedError, match=r"at least 5 frames.*found 1"):
        await whole(bus, subjects, beyond)


async def test_a_tail_that_was_written_anew_is_found(bus: Bus, subjects: Subjects):
    """Sequences are used again after a loss, so being long enough proves nothing."""
    writer = await new_writer(bus, subjects)
    head = await writer.append([commit("a")])
    other = msgspec.structs.replace(head, hash=b"of what was lost")
    with pytest.raises(JournalDamagedError, match="the frame before it, at 2"):
        await whole(bus, subjects, other)


async def test_a_journal_that_is_gone_is_damage(bus: Bus, subjects: Subjects):
    with pytest.raises(JournalDamagedError, match="no such stream"):
        await whole(bus, subjects)


async def test_a_follower_stops_at_damage_too(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    await put(bus, subjects.frames, b"not a frame")
    async with aclosing(follow(bus, subjects, writer.head)) as frames:
        with pytest.raises(JournalDamagedError, match="at sequence 2"):
            await anext(frames)


def rot(store: Path, needle: bytes) -> None:
    """Flip one bit of what lies on disk, where `needle` stands."""
    for block in store.glob("jetstream/**/*JNL/msgs/*.blk"):
        data = bytearray(block.read_bytes())
        if (place := data.find(needle)) >= 0:
            data[place] ^= 1
            block.write_bytes(data)
            return
    raise AssertionError


@pytest.mark.parametrize("rotten", ["first", "middle", "last"])
async def test_a_frame_that_rots_on_disk_is_found(tmp_path: Path, subjects: Subjects, rotten: str):
    """The server leaves such a message out without a word."""
    server = await start(ServerOptions(tmp_path))
    try:
        bus = await connect(server.url, name="before")
        writer = await new_writer(bus, subjects)
        places = {name: (await writer.append([commit(name)])).seq for name in ORDER}
        await bus.close()
        server.stop()
        rot(tmp_path, rotten.encode())
        await server.restart()
        bus = await connect(server.url, name="after")
        with pytest.raises(JournalDamagedError) as caught:
            await asyncio.wait_for(whole(bus, subjects), 20)
        await bus.close()
    finally:
        server.stop()
    assert caught.value.seq == places[rotten]


ORDER = ("zero", "first", "one", "middle", "two", "last")

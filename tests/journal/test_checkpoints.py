"""Checkpoints are caches: found if whole, passed over if not, never missed."""

import os
import zlib

import msgspec
import pytest

from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.journal import checkpoints
from handlers.journal.checkpoints import bucket, drop_all, latest, save
from handlers.journal.reader import Head
from handlers.journal.stream import info, last_message, put

SMALL = b"the state of a region" * 100
LARGE = os.urandom(2 * checkpoints.CHUNK_BYTES + 1)


def head(seq: int) -> Head:
    return Head(seq, 10 * seq, b"hash" * 8, 3, 2)


def key(subjects: Subjects, name: str) -> str:
    return f"$KV.{subjects.stream('CHK')}.{name}"


async def test_without_a_checkpoint_there_is_none(bus: Bus, subjects: Subjects):
    assert await latest(bus, subjects) is None


@pytest.mark.parametrize("image", [b"", SMALL, LARGE], ids=["empty", "small", "chunked"])
async def test_a_checkpoint_comes_back_as_it_was(bus: Bus, subjects: Subjects, image: bytes):
    await save(bus, subjects, head(5), image)
    assert await latest(bus, subjects) == (head(5), image)


async def test_the_newest_is_found(bus: Bus, subjects: Subjects):
    for seq in (3, 5, 8, 13):
        await save(bus, subjects, head(seq), b"%d" % seq)
        assert await latest(bus, subjects) == (head(seq), b"%d" % seq)


async def test_two_are_kept_and_no_more(bus: Bus, subjects: Subjects):
    for seq in range(1, 8):
        await save(bus, subjects, head(seq), LARGE)
    stream = await info(bus, bucket(subjects).name)
    assert stream
    assert stream.state.messages == 2 * (3 + 1)  # chunks and a head each


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("b.chunk.0", b"damaged"),
        ("b.chunk.0", zlib.compress(b"another image")),
        ("b.head", b"\xc1"),
        ("b.head", msgspec.msgpack.encode({"version": 2})),
    ],
)
async def test_a_damaged_checkpoint_is_passed_over(
    bus: Bus,
    subjects: Subjects,
    name: str,
    data: bytes,
    capsys: pytest.CaptureFixture[str],
):
    await save(bus, subjects, head(1), b"older")
    await save(bus, subjects, head(2), b"newer")
    await put(bus, key(subjects, name), data)
    assert await latest(bus, subjects) == (head(1), b"older")
    assert "checkpoint.ignored" in capsys.readouterr().out


async def test_a_torn_checkpoint_leaves_the_one_before(bus: Bus, subjects: Subjects):
    """The engine was killed after the first chunk of the third checkpoint."""
    await save(bus, subjects, head(1), LARGE)
    await save(bus, subjects, head(2), SMALL)
    await put(bus, key(subjects, "a.chunk.0"), b"first chunk of what was never finished")
    assert await latest(bus, subjects) == (head(2), SMALL)
    await save(bus, subjects, head(3), LARGE)
    assert await latest(bus, subjects) == (head(3), LARGE)


async def test_a_missing_chunk_is_noticed(bus: Bus, subjects: Subjects):
    await save(bus, subjects, head(1), b"older")
    await save(bus, subjects, head(2), LARGE)
    written = await last_message(bus, bucket(subjects).name, key(subjects, "b.head"))
    assert written
    lies = msgspec.msgpack.decode(written.data) | {"chunks": 4}
    await put(bus, key(subjects, "b.head"), msgspec.msgpack.encode(lies))
    assert await latest(bus, subjects) == (head(1), b"older")


async def test_all_can_be_dropped(bus: Bus, subjects: Subjects):
    await save(bus, subjects, head(1), SMALL)
    await drop_all(bus, subjects)
    await drop_all(bus, subjects)
    assert await latest(bus, subjects) is None


async def test_they_are_an_ordinary_bucket_for_other_tools(bus: Bus, subjects: Subjects):
    await save(bus, subjects, head(1), SMALL)
    kv = await bus.jetstream().key_value(subjects.stream("CHK"))
    assert sorted(await kv.keys()) == ["a.chunk.0", "a.head"]

"""Only the newest writer writes, at whatever moment the old one is overtaken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, nullcontext, suppress
from random import Random

import msgspec
import pytest

from domain.subjects import Subjects
from handlers.bus import Bus, BusUnavailableError, close, connect
from handlers.journal import sender
from handlers.journal.reader import Head, follow
from handlers.journal.stream import ensure
from handlers.journal.writer import FencedError, NotAtTailError, Writer
from tests.journal.samples import asks, commit, new_writer, whole

ROUNDS = 25
PAUSE_S = 0.004
"""A writer with frames always in flight is not overtaken: somebody who reads on is never at its
end. That is as it should be, for it is alive."""


@pytest.fixture
async def rival_bus(nats_url: str) -> AsyncIterator[Bus]:
    connection = await connect(nats_url, name="rival")
    yield connection
    await close(connection)


async def test_an_old_writer_is_fenced_for_good(bus: Bus, subjects: Subjects):
    old = await new_writer(bus, subjects)
    await old.append([commit("a")])
    new = await new_writer(bus, subjects)
    for _ in range(2):
        with pytest.raises(FencedError, match="epoch 1 is over"):
            await old.append([commit("never")])
    await new.append([commit("b")])
    assert asks(await whole(bus, subjects)) == ["a", "b"]


@pytest.mark.parametrize(("epoch_seq", "stored"), [(1, False), (3, True)], ids=["old", "new"])
async def test_the_fence_alone_keeps_an_old_writer_out(
    bus: Bus, subjects: Subjects, monkeypatch: pytest.MonkeyPatch, epoch_seq: int, *, stored: bool
):
    """Even one that knows the end of the journal, were there such a one."""
    monkeypatch.setattr(sender, "PATIENCE_S", 0.3)
    old = await new_writer(bus, subjects)
    await old.append([commit("a")])
    new = await new_writer(bus, subjects)
    at = msgspec.structs.replace(new.head, epoch_seq=epoch_seq)
    sends = sender.Sender(bus, subjects.stream("JNL"))
    await sends.open()
    with nullcontext() if stored else pytest.raises(BusUnavailableError):
        await Writer(sends, subjects, at).append([commit("b")])
    await sends.close()
    assert asks(await whole(bus, subjects)) == (["a", "b"] if stored else ["a"])


async def keep_writing(writer: Writer, dice: Random, acknowledged: list[str]) -> str:
    """Append, with pauses, until fenced; returns the ask that was refused."""
    number = 0
    while True:
        await asyncio.sleep(dice.random() * PAUSE_S)
        ask = f"{writer.head.epoch}-{number}"
        try:
            await writer.append([commit(ask)])
        except FencedError:
            return ask
        acknowledged.append(ask)
        number += 1


async def overtake(bus: Bus, subjects: Subjects, after: Head, dice: Random) -> Writer:
    """Follow a busy journal for a moment, then take it over."""
    loop = asyncio.get_running_loop()
    begin = loop.time() + dice.random() * 0.05
    async with aclosing(follow(bus, subjects, after)) as frames:
        async for head, _ in frames:
            if loop.time() >= begin:
                with suppress(NotAtTailError):
                    return await Writer.take_over(bus, subjects, head)
    raise AssertionError


async def test_nothing_of_an_old_writer_is_stored_behind_the_new_epoch(
    bus: Bus, rival_bus: Bus, subjects: Subjects
):
    dice = Random(7)
    await ensure(bus, subjects)
    writer = await Writer.take_over(bus, subjects, Head())
    acknowledged: list[str] = []
    refused: list[str] = []
    buses = [bus, rival_bus]
    for turn in range(1, ROUNDS + 1):
        writing = asyncio.ensure_future(keep_writing(writer, dice, acknowledged))
        async with asyncio.timeout(100):
            writer = await overtake(buses[turn % 2], subjects, writer.head, dice)
            refused.append(await writing)
        assert writer.head.epoch == turn + 1
    stored = asks(await whole(bus, subjects))
    assert stored == acknowledged
    assert not set(refused) & set(stored)


async def test_of_two_that_take_over_at_once_one_wins(bus: Bus, rival_bus: Bus, subjects: Subjects):
    head = (await new_writer(bus, subjects)).head
    for _ in range(ROUNDS):
        tries = await asyncio.gather(
            Writer.take_over(bus, subjects, head),
            Writer.take_over(rival_bus, subjects, head),
            return_exceptions=True,
        )
        (winner,) = [writer for writer in tries if isinstance(writer, Writer)]
        assert sum(isinstance(failed, NotAtTailError) for failed in tries) == 1
        head = await winner.append([commit("a")])
    assert (await whole(bus, subjects))[-1][0] == head

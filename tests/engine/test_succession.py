"""Who leads: one engine at a time, whoever was paused, deposed or cut off."""

import asyncio
import gc
from pathlib import Path

import msgspec
import pytest

from domain.region import Region
from domain.subjects import Subjects
from handlers.bus import Bus, BusClosedError, close, connect, request
from handlers.engine.process import Status
from handlers.engine.standby import BEAT_S, SILENCE_S, Beat, Standby
from handlers.journal.reader import Head, read
from handlers.journal.stream import ensure
from handlers.journal.writer import Writer
from tests.engine.site import HARDWARE, engine_of, site


async def epochs(bus: Bus, subjects: Subjects) -> int:
    """Return how many engines have led so far."""
    return [head.epoch async for head, _ in read(bus, subjects, Head())][-1]


async def test_a_leader_that_hears_a_later_one_stands_back_though_it_has_nothing_to_write(
    nats_url: str, bus: Bus, subjects: Subjects, tmp_path: Path
):
    async with site(nats_url, subjects, tmp_path) as place:
        await place.engine("e1")
        await place.done("host.register", host="north", **HARDWARE)
        last = [head async for head, _ in read(bus, subjects, Head())][-1]
        rival = await Writer.take_over(bus, subjects, last)
        leaving = await bus.subscribe(subjects.leader)
        later = msgspec.json.encode(Beat("rival", rival.head.epoch, rival.head.position))
        await bus.publish(subjects.leader, later)
        said: list[Beat] = []
        async with asyncio.timeout(20):
            while not said or said[-1].epoch <= rival.head.epoch:
                message = await leaving.next_msg(timeout=20)
                said.append(msgspec.json.decode(message.data, type=Beat))
        await rival.close()

    assert await epochs(bus, subjects) == rival.head.epoch + 1
    assert not any(beat.leaving for beat in said)


def regions() -> int:
    """Return how many regions there are; nobody collects them but who has dropped one."""
    gc.collect()
    return sum(isinstance(one, Region) for one in gc.get_objects())


async def stands_by(bus: Bus, subjects: Subjects) -> None:
    """Wait until the one engine is a standby."""
    role = ""
    while role != "standby":
        await asyncio.sleep(0.05)
        said = await request(bus, subjects.status(), within_s=2)
        role = msgspec.json.decode(said, type=Status).role


async def test_who_was_replaced_holds_nothing_any_more_of_what_it_knew(
    nats_url: str, bus: Bus, subjects: Subjects, tmp_path: Path
):
    async with site(nats_url, subjects, tmp_path) as place:
        await place.engine("e1")
        await place.done("host.register", host="north", **HARDWARE)
        gc.collect()
        held = regions()
        last = [head async for head, _ in read(bus, subjects, Head())][-1]
        rival = await Writer.take_over(bus, subjects, last)

        async def lead() -> None:
            beat = Beat("rival", rival.head.epoch, rival.head.position)
            while True:
                await bus.publish(subjects.leader, msgspec.json.encode(beat))
                await asyncio.sleep(BEAT_S)

        leading = asyncio.create_task(lead())
        async with asyncio.timeout(20):
            await stands_by(bus, subjects)

        assert regions() == held
        leading.cancel()
        await rival.close()


async def test_beats_of_one_who_was_replaced_count_for_nothing(bus: Bus, subjects: Subjects):
    await ensure(bus, subjects)
    first = await Writer.take_over(bus, subjects, Head())
    second = await Writer.take_over(bus, subjects, first.head)
    standby = Standby(bus, subjects, "e3")
    await standby.catch_up()
    waiting = asyncio.create_task(standby.until_its_turn())
    try:
        async with asyncio.timeout(4 * SILENCE_S):
            while not waiting.done():
                old = Beat("e1", first.head.epoch, 0)
                await bus.publish(subjects.leader, msgspec.json.encode(old))
                await asyncio.sleep(0.05)
    finally:
        waiting.cancel()
        await first.close()
        await second.close()


async def test_a_standby_that_did_not_listen_for_a_while_takes_nobody_for_gone(
    bus: Bus, subjects: Subjects, monkeypatch: pytest.MonkeyPatch
):
    await ensure(bus, subjects)
    standby = Standby(bus, subjects, "e1")
    clock = asyncio.get_running_loop().time
    skipped = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock() + skipped)
    waiting = asyncio.create_task(standby.until_its_turn())
    await asyncio.sleep(SILENCE_S / 4)
    skipped = 10 * SILENCE_S  # as if the process had been stopped
    await asyncio.sleep(SILENCE_S / 4)
    early = waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert not early


async def test_an_engine_whose_connection_is_closed_for_good_ends_its_process(
    nats_url: str, bus: Bus, subjects: Subjects
):
    await ensure(bus, subjects)
    own = await connect(nats_url, name="e1")
    running = asyncio.create_task(engine_of(own, subjects).run(asyncio.Event()))
    await asyncio.sleep(0.5)
    await close(own)
    async with asyncio.timeout(20):
        with pytest.RaisesGroup(BusClosedError, flatten_subgroups=True, allow_unwrapped=True):
            await running

"""A host asks who is where, again and again, and has it as it was told last."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import msgspec
import pytest

from domain.agent import Welcome
from domain.messages import HostId
from domain.networks import Where, Whereabouts
from domain.subjects import Subjects
from handlers.agent.link import Link
from handlers.agent.networks import Networks
from handlers.agent.pace import Pace
from handlers.agent.runtime import RuntimeFailedError
from handlers.bus import Bus, Message

H1 = HostId("h1")
TABLE, OTHER = {"10.0.0.1": "192.0.2.1"}, {"10.0.0.1": "192.0.2.2"}


class Carrier:
    """Carries something on some networks."""

    def __init__(self) -> None:
        self.underlay = "192.0.2.1"
        self.carried = frozenset({17})
        self.tables: list[tuple[int, Mapping[str, str]]] = []
        self.fails = 0

    def networks(self) -> frozenset[int]:
        return self.carried

    async def point(self, network: int, table: Mapping[str, str]) -> None:
        if self.fails:
            self.fails -= 1
            message = "no such device"
            raise RuntimeFailedError(message)
        self.tables.append((network, table))


class Engine:
    """Answers what it is asked, as the engine of `epoch`."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self.bus, self.subjects = bus, subjects
        self.asked: list[Where] = []
        self.carrier = Carrier()
        self.tables: dict[int, Mapping[str, str]] = {17: TABLE}
        self.epoch = 3
        self.deaf = False
        self.unheard = 0

    async def hear(self, message: Message) -> None:
        if self.deaf:
            self.unheard += 1
            return
        where = msgspec.json.decode(message.data, type=Where)
        self.asked.append(where)
        await message.respond(msgspec.json.encode(Welcome(self.epoch)))
        for network in where.networks:
            await self.tell(network, self.tables.get(network, {}))

    async def tell(self, network: int, table: Mapping[str, str]) -> None:
        told = msgspec.json.encode(Whereabouts(self.epoch, network, table))
        await self.bus.publish(self.subjects.network(H1), told)

    async def until(self, *tables: tuple[int, Mapping[str, str]]) -> None:
        async with asyncio.timeout(10):
            while self.carrier.tables[-len(tables) :] != list(tables):
                await asyncio.sleep(0.01)


@pytest.fixture
def pace() -> Pace:
    return Pace(hello_s=600, ask_s=0.2, retry_min_s=0.01, retry_max_s=0.05)


@pytest.fixture
async def engine(bus: Bus, subjects: Subjects, pace: Pace) -> AsyncIterator[Engine]:
    made = Engine(bus, subjects)
    await bus.subscribe(subjects.where(H1), cb=made.hear)
    await bus.flush()

    async def serve() -> None:
        async with asyncio.TaskGroup() as tasks:
            await Networks(H1, made.carrier, Link(bus), subjects, pace).serve(tasks)

    running = asyncio.create_task(serve())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_it_asks_at_the_start_and_has_it_as_it_is_told(engine: Engine):
    await engine.until((17, TABLE))

    assert engine.asked[0] == Where(H1, "192.0.2.1", (17,))


async def test_what_it_hears_later_holds(engine: Engine):
    await engine.until((17, TABLE))
    await engine.tell(17, OTHER)

    await engine.until((17, OTHER))


async def test_when_something_new_is_carried_it_asks_for_that_too(engine: Engine):
    await engine.until((17, TABLE))
    engine.tables[18] = OTHER
    engine.carrier.carried |= {18}

    await engine.until((17, TABLE), (18, OTHER))
    assert engine.asked[-1].networks == (17, 18)


async def test_what_an_engine_says_that_was_replaced_counts_for_nothing(engine: Engine):
    await engine.until((17, TABLE))
    engine.epoch = 2
    await engine.tell(17, OTHER)
    engine.epoch = 3
    await engine.tell(18, OTHER)

    await engine.until((18, OTHER))
    assert (17, OTHER) not in engine.carrier.tables


async def test_when_another_engine_tells_it_says_where_it_is_again(engine: Engine):
    await engine.until((17, TABLE))
    before = len(engine.asked)
    engine.epoch = 4
    await engine.tell(18, OTHER)

    async with asyncio.timeout(10):
        while len(engine.asked) == before:
            await asyncio.sleep(0.01)


async def test_what_cannot_be_had_is_had_when_it_is_told_again(engine: Engine):
    await engine.until((17, TABLE))
    engine.carrier.fails = 1
    await engine.tell(17, OTHER)
    async with asyncio.timeout(10):
        while engine.carrier.fails:
            await asyncio.sleep(0.01)
    await engine.tell(17, OTHER)

    await engine.until((17, OTHER))


async def test_who_is_on_no_network_asks_nothing(bus: Bus, subjects: Subjects, pace: Pace):
    carrier = Carrier()
    carrier.underlay = ""
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        await Networks(H1, carrier, Link(bus), subjects, pace).serve(tasks)


async def test_while_nobody_answers_it_goes_on_asking(engine: Engine):
    await engine.until((17, TABLE))
    engine.deaf = True
    engine.tables[18] = OTHER
    engine.carrier.carried |= {18}
    async with asyncio.timeout(10):
        while engine.unheard < 2:
            await asyncio.sleep(0.01)
    assert engine.asked[-1].networks == (17,)
    engine.deaf = False

    await engine.until((17, TABLE), (18, OTHER))

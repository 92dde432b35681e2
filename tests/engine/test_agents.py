"""The engine's ear for agents, also while it stops listening."""

import asyncio
from typing import cast

import msgspec
import pytest

from domain.agent import Hello, Receipt, Welcome
from domain.decider import Answered, Ask
from domain.fleet import Fleet
from domain.messages import AskId, ContainerId, HostId, Unchanged
from domain.orders import ReportHealth
from domain.subjects import Subjects
from handlers.bus import Bus, flush
from handlers.engine.agents import Agents
from handlers.engine.outbox import Outbox

REPORT = ReportHealth(
    ask=AskId("or1/r"), host=HostId("north"), container=ContainerId("node1"), healthy=True
)


class Listener:
    """Agents' ear with a desk that answers when it is told to."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self.asks: list[tuple[Ask, asyncio.Future[Answered]]] = []
        outbox = Outbox(bus, subjects, Fleet(), 7)
        self.agents = Agents(bus, subjects, self._ask, outbox, 7)

    def _ask(self, ask: Ask) -> asyncio.Future[Answered]:
        told: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self.asks.append((ask, told))
        return told

    async def heard(self) -> tuple[Ask, asyncio.Future[Answered]]:
        async with asyncio.timeout(5):
            while not self.asks:
                await asyncio.sleep(0.01)
        return self.asks[0]


@pytest.fixture
def listener(bus: Bus, subjects: Subjects) -> Listener:
    return Listener(bus, subjects)


async def test_a_report_is_acknowledged_when_it_is_answered_and_a_hello_at_once(
    bus: Bus, subjects: Subjects, listener: Listener
):
    await listener.agents.open()
    talking = asyncio.create_task(listener.agents.run())
    hello = msgspec.json.encode(Hello(HostId("north"), 1, 0))
    welcome = await bus.request(subjects.hello("north"), hello, timeout=5)
    body = msgspec.json.encode(REPORT)
    receipt = asyncio.create_task(bus.request(subjects.reports("north"), body, timeout=5))
    _, told = await listener.heard()
    await asyncio.sleep(0.05)
    assert not receipt.done()
    told.set_result(Answered(Unchanged(), 1))

    assert msgspec.json.decode((await receipt).data, type=Receipt) == Receipt("ok")
    assert msgspec.json.decode(welcome.data, type=Welcome) == Welcome(7)
    await listener.agents.close()
    talking.cancel()


async def test_what_agents_say_while_the_engine_ends_disturbs_nobody(
    bus: Bus, subjects: Subjects, listener: Listener
):
    wrong: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: wrong.append(said))
    await listener.agents.open()
    talking = asyncio.create_task(listener.agents.run())
    talking.cancel()
    await asyncio.gather(talking, return_exceptions=True)
    await bus.publish(subjects.hello("north"), msgspec.json.encode(Hello(HostId("north"), 1, 0)))
    await bus.publish(subjects.reports("north"), b"{")
    await bus.publish(subjects.reports("north"), msgspec.json.encode(REPORT))
    _, told = await listener.heard()
    told.set_result(Answered(Unchanged(), 1))
    await flush(bus)
    await listener.agents.close()

    assert not wrong


async def test_no_client_can_ask_under_the_name_of_a_report(
    bus: Bus, subjects: Subjects, listener: Listener
):
    await listener.agents.open()
    await bus.publish(subjects.reports("north"), msgspec.json.encode(REPORT))
    ask, told = await listener.heard()
    await listener.agents.close()
    told.cancel()

    assert " " in ask.id
    assert cast("ReportHealth", ask.command) == REPORT

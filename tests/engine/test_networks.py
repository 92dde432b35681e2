"""Hosts are told who is where in the networks of what they carry, whenever it changed."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from nats.errors import NoRespondersError

from domain.agent import Welcome
from domain.decider import Commit
from domain.facts import Fact
from domain.messages import AskId, HostId, MigrationId
from domain.migration import MigrateContainer
from domain.networks import Where, Whereabouts
from domain.orders import ROUTER, ReportPhase
from domain.subjects import Subjects
from handlers.bus import Bus, Message
from handlers.engine.networks import Networks
from handlers.network.shapes import GATE
from tests.examples import Scene, given, hosts, layer, shop

H1, H2, H3 = HostId("h1"), HostId("h2"), HostId("h3")
ONE, TWO = "10.0.0.1", "10.0.0.2"
UNDERLAYS = {H1: "192.0.2.1", H2: "192.0.2.2", H3: "192.0.2.3", ROUTER: "192.0.2.9"}


class Town:
    """Two containers on h1 and h2, an engine's voice, and all that hosts hear."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self.scene: Scene = given(hosts(3), shop(2))
        self.bus = bus
        self.subjects = subjects
        self.networks = Networks(bus, subjects, self.scene.fleet, 7)
        self.heard: dict[str, list[Whereabouts]] = {}

    async def listen(self) -> None:
        async def hear(message: Message) -> None:
            host = message.subject.rpartition(".")[2]
            told = msgspec.json.decode(message.data, type=Whereabouts)
            self.heard.setdefault(host, []).append(told)

        await self.bus.subscribe(self.subjects.network("*"), cb=hear)
        await self.bus.flush()

    async def ask(self, host: HostId, *networks: int, underlay: str = "") -> Welcome:
        """Ask as a host does; return when the rest of what it leads to has been heard."""
        where = Where(host, underlay or UNDERLAYS[host], networks)
        subject = self.subjects.where(host)
        async with asyncio.timeout(10):
            while True:
                try:
                    said = await self.bus.request(subject, msgspec.json.encode(where), timeout=1)
                except (NoRespondersError, TimeoutError):  # it does not listen yet
                    continue
                break
        await self.quiet()
        return msgspec.json.decode(said.data, type=Welcome)

    async def quiet(self) -> None:
        """Return when what was noted up to now has been told, and what was told been heard."""
        while self.networks.busy:
            await asyncio.sleep(0.01)
        await self.bus.flush()
        await asyncio.sleep(0)

    async def happened(self, commit: Commit[Fact]) -> None:
        self.networks.happened((commit,))
        await self.quiet()

    def last(self, host: HostId) -> Whereabouts:
        return self.heard[host][-1]


@pytest.fixture
async def town(bus: Bus, subjects: Subjects) -> AsyncIterator[Town]:
    made = Town(bus, subjects)
    await made.listen()
    running = asyncio.create_task(made.networks.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_asks_is_told_what_is_known(town: Town):
    assert await town.ask(H1, 1) == Welcome(7)

    assert town.last(H1) == Whereabouts(7, 1, {ONE: UNDERLAYS[H1], TWO: ""})


async def test_who_was_told_of_a_host_hears_where_it_is_when_it_says_so(town: Town):
    await town.ask(H1, 1)
    await town.ask(H2)

    assert town.last(H1).hosts == {ONE: UNDERLAYS[H1], TWO: UNDERLAYS[H2]}
    await town.ask(H2, underlay="192.0.2.22")
    assert town.last(H1).hosts[TWO] == "192.0.2.22"


async def test_the_router_is_in_every_network(town: Town):
    await town.ask(H1, 1)
    await town.ask(ROUTER)

    assert town.last(H1).hosts[GATE] == UNDERLAYS[ROUTER]
    assert town.last(ROUTER) == town.last(H1)


async def test_who_carries_none_of_it_is_told_that_nobody_is_there(town: Town):
    await town.ask(H3, 1, 9)

    assert town.heard[H3] == [Whereabouts(7, 1, {}), Whereabouts(7, 9, {})]


async def test_a_live_move_is_told_to_both_ends_and_to_the_others(town: Town):
    for host in (H1, H2, H3):
        await town.ask(host, 1)
    assert town.last(H3).hosts == {}

    await town.happened(town.scene.ask(MigrateContainer(container="node1", target="h3")))
    assert town.last(H3).hosts == {ONE: UNDERLAYS[H1], TWO: UNDERLAYS[H2]}
    frozen = ReportPhase(
        ask=AskId("r1"), host=H1, migration=MigrationId("mv1"), phase="frozen", after_ms=80
    )
    await town.happened(town.scene.ask(frozen))
    for host in (H1, H2, H3):
        assert town.last(host).hosts == {ONE: UNDERLAYS[H3], TWO: UNDERLAYS[H2]}


async def test_another_environment_is_told_to_its_own_hosts_alone(town: Town):
    for host in (H1, H2, H3):
        await town.ask(host, 1)
    before = len(town.heard[H1]), len(town.heard[H2])
    blog = msgspec.structs.replace(shop(1), environment="blog", layers=(layer("app"),))

    await town.happened(town.scene.ask(blog))

    assert (len(town.heard[H1]), len(town.heard[H2])) == before
    assert town.last(H3) == Whereabouts(7, 2, {"10.0.0.3": UNDERLAYS[H3]})


async def test_where_no_host_is_on_networks_nobody_is_told_anything(town: Town):
    await town.happened(town.scene.ask(MigrateContainer(container="node1", target="h3")))

    assert town.heard == {}


@pytest.mark.parametrize(
    "said",
    [
        b"{",
        b'{"host":"h1","underlay":"here","networks":[]}',
        b'{"host":"h1","underlay":"192.0.2.1","networks":[0]}',
        b'{"host":"h2","underlay":"192.0.2.2","networks":[1]}',
    ],
)
async def test_what_is_no_question_of_this_host_is_left_alone(town: Town, said: bytes):
    await town.ask(H3)
    await town.bus.publish(town.subjects.where("h1"), said)
    await town.ask(H3, 9)

    assert town.heard.keys() == {H3}

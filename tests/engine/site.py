"""A whole region on a real server, in one process: engines, simulated hosts, a client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from domain.container import Container
from domain.contracts import Reply
from domain.fleet import Fleet
from domain.lease import Terms
from domain.messages import ContainerId, EnvironmentId, HostId, LayerName, MigrationId, OperationId
from domain.migration import Migration
from domain.operation import Operation, OperationState
from domain.problems import Problem
from domain.region import Region
from domain.subjects import Subjects
from handlers.agent import peers
from handlers.agent.behaviour import Behaviour
from handlers.agent.link import Link
from handlers.agent.pace import pace_at
from handlers.agent.process import Site as AgentSite
from handlers.bus import Address, Bus, BusUnavailableError, close, connect, request
from handlers.engine.keeper import Errand, Keeper
from handlers.engine.process import Engine
from handlers.journal.reader import Head, read
from handlers.journal.safety import Durability
from handlers.journal.stream import ensure
from restow.client import Client

SPEED = 40.0
PATIENCE_S = 60.0
HARDWARE = {"memory_mib": 8_192, "cpu_mhz": 25_600, "disk_gib": 100}
SHOP = {
    "environment": "shop",
    "layers": [
        {"name": "app", "count": 3, "reserved": 2, "limit": 8},
        {"name": "sql", "count": 2, "anti_affinity": "hard"},
    ],
}


class Site:
    """What tests hold: a client, and the journal as anyone can read it."""

    def __init__(self, url: str, bus: Bus, subjects: Subjects, data: Path) -> None:
        self.url = url
        self.bus = bus
        self.subjects = subjects
        self.data = data
        self.client = Client(bus, subjects)
        self.terms = Terms()
        self._engines: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._buses: list[Bus] = []

    async def engine(self, name: str) -> None:
        """Run an engine."""
        bus = await connect(self.url, name=name)
        self._buses.append(bus)
        engine = engine_of(bus, self.subjects, name)
        engine.terms = self.terms
        self._engines[name] = self._run(engine.run(asyncio.Event()))

    def crash(self, name: str) -> None:
        """Cancel an engine where it stands: a crash, as far as its state goes."""
        self._engines.pop(name).cancel()

    def forget_dead_engines(self) -> None:
        """Mind no more how engines ended that were to end."""
        ended = [name for name, task in self._engines.items() if task.done()]
        for name in ended:
            task = self._engines.pop(name)
            task.exception()
            self._tasks.remove(task)

    async def agents(
        self, hosts: int, behaviour: Behaviour | None = None, usage_s: float = 5.0
    ) -> None:
        """Run the agents of `h01` … and the router, and register the hosts.

        What containers use is told every `usage_s`.
        """
        bus = await connect(self.url, name="agents")
        self._buses.append(bus)
        how = behaviour or Behaviour(seed=1, speed=SPEED)
        pace = replace(pace_at(how.speed), usage_s=usage_s)
        site = AgentSite(Link(bus), self.subjects, self.data, how, pace)
        _ = self._run(site.router())
        for number in range(1, hosts + 1):
            host = f"h{number:02}"
            _ = self._run(site.host(HostId(host)))
            labels = {"zone": "abc"[number % 3]}
            await self.done("host.register", host=host, labels=labels, **HARDWARE)
            await self.listening(host)

    async def listening(self, host: str) -> None:
        """Wait until a host's agent hears its peers: a move to one that does not is reverted."""
        nobody = peers.ResizeThere(ContainerId("nobody"), cloudlets=1, limit=1)
        subject, data = self.subjects.peer(host, "resize"), msgspec.json.encode(nobody)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(BusUnavailableError):
                    await request(self.bus, subject, data, within_s=5)
                    return
                await asyncio.sleep(0.02)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def ask(self, name: str, **body: object) -> Reply | Problem:
        """Ask, again with the same id while nobody answers, as a good client does."""
        body.setdefault("id", uuid4().hex)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                said = await self.client.ask(name, body, within_s=2)
                if isinstance(said, Reply) or not said.retryable:
                    return said
                await asyncio.sleep(0.1)

    async def done(self, name: str, **body: object) -> Reply:
        said = await self.ask(name, **body)
        assert isinstance(said, Reply), said
        return said

    async def region(self) -> Region:
        """Return the region as the journal tells it."""
        region = Region()
        async for _, frame in read(self.bus, self.subjects, Head()):
            region.absorb(frame)
        return region

    async def quiet(self) -> Region:
        """Wait until nothing is under way any more."""
        return await self.until(is_quiet)

    async def until(self, so: Callable[[Fleet], bool]) -> Region:
        async with asyncio.timeout(PATIENCE_S):
            while not so((region := await self.region()).fleet):
                await asyncio.sleep(0.1)
        return region

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        for bus in self._buses:
            await close(bus)
        for end in ends:
            if isinstance(end, Exception):
                raise end


def engine_of(bus: Bus, subjects: Subjects, name: str = "e1") -> Engine:
    """Return an engine in this process; its checkpoints are kept by another one."""
    url = bus.connected_url
    assert url is not None
    keeper = Keeper(bus, Errand(Address(url.geturl()), subjects.prefix))
    return Engine(bus, subjects, name, Durability(), keeper)


def is_quiet(fleet: Fleet) -> bool:
    """Nothing is under way: every operation and migration is over, every order answered."""
    ended = all(o.state is OperationState.FINISHED for o in fleet.operations.values())
    moved = all(m.finished_at for m in fleet.migrations.values())
    return bool(ended and moved and not fleet.orders)


def operation(fleet: Fleet, reply: Reply) -> Operation:
    """Return the operation that carries a command on."""
    return fleet.operations[OperationId(reply.operation_id)]


def migration(fleet: Fleet, reply: Reply) -> Migration:
    """Return the migration that carries a command on."""
    return fleet.migrations[MigrationId(reply.operation_id)]


def members(fleet: Fleet, layer: str, environment: str = "shop") -> list[Container]:
    """Return a layer's containers, in ascending number."""
    key = (EnvironmentId(environment), LayerName(layer))
    return [fleet.containers[name] for name in fleet.layers[key].containers]


@asynccontextmanager
async def site(url: str, subjects: Subjects, data: Path, replicas: int = 1) -> AsyncIterator[Site]:
    """A region without engines and agents yet."""
    bus = await connect(url, name="test client")
    await ensure(bus, subjects, replicas=replicas)
    whole = Site(url, bus, subjects, data)
    try:
        yield whole
    finally:
        await whole.stop()
        await close(bus)
